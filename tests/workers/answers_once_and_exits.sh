# Answers and exits at once, code in the first argument (0); the shell boots ten times faster than Python.
IFS= read -r line || exit 0
id=${line#*'"id":"'}
printf '{"id":"%s","status":"ok"}\n' "${id%%'"'*}"
exit "${1:-0}"

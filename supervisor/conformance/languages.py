"""What a program is written in, as far as its command tells, and how that language does what the protocol asks."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Topic = Literal["flush", "stray", "eof", "lines", "text", "depth", "numbers", "ids", "memory"]

HEAD = 65536  # bytes of a file that are looked at


class Language(NamedTuple):
    name: str
    fixes: Mapping[Topic, str]


PYTHON = Language(
    "Python",
    {
        "flush": "print(…, flush=True), or sys.stdout.flush() after each write",
        "stray": "replies, sys.stdout = sys.stdout, sys.stderr, first thing",
        "eof": "`for line in sys.stdin:` ends by itself; threads that are left need daemon=True",
        "lines": "`for line in sys.stdin.buffer:`; str.splitlines() breaks lines at U+2028 too",
        "text": "read sys.stdin.buffer and write sys.stdout.buffer: bytes, whatever the locale is",
        "depth": "json.loads raises RecursionError below 1,000 levels: catch it, or call it with a short stack",
        "numbers": "json.dumps(…, allow_nan=False), or it writes Infinity; sys.set_int_max_str_digits(0)",
        "memory": "tracemalloc shows what was kept; functools.lru_cache and module-level lists are usual places",
    },
)
NODE = Language(
    "JavaScript",
    {
        "flush": "process.stdout.write(line + '\\n') is not buffered; leave by process.exitCode, not process.exit()",
        "stray": "console.log = console.info = console.error, first thing",
        "eof": "let the loop end on 'end' of process.stdin, and close timers, servers and sockets",
        "lines": "collect chunks and split them at '\\n'; node:readline breaks lines at U+2028 too",
        "text": "process.stdin.setEncoding('utf8') keeps characters whole between chunks",
        "ids": "Number(id), parseInt(id) and +id make a number of it",
        "numbers": "JSON.parse makes every number a double",
        "memory": "node --max-old-space-size=… bounds the heap; --heapsnapshot-signal=SIGUSR2 shows what was kept",
    },
)
RUBY = Language(
    "Ruby",
    {
        "flush": "$stdout.sync = true",
        "stray": "replies = $stdout.dup; $stdout.reopen($stderr), first thing",
        "eof": "`while (line = $stdin.gets)` ends by itself",
        "lines": "`$stdin.each_line`",
        "text": "Encoding.default_external = Encoding::UTF_8, whatever the locale is",
        "depth": "JSON.parse(line, max_nesting: false)",
    },
)
PERL = Language(
    "Perl",
    {
        "flush": "$| = 1, or $fh->autoflush(1)",
        "stray": "open(my $replies, '>&', \\*STDOUT); select STDERR, first thing",
        "eof": "`while (my $line = <STDIN>)` ends by itself",
        "lines": "`while (my $line = <STDIN>)`",
        "text": "JSON::PP->new->utf8 reads and writes bytes: no :utf8 layer on STDIN or STDOUT beside it",
        "depth": "JSON::PP->new->max_depth(1024), or decode inside eval",
        "ids": "adding 0 to it makes a number of it",
    },
)
PHP = Language(
    "PHP",
    {
        "flush": "fwrite(STDOUT, …) and fflush(STDOUT); no ob_start()",
        "stray": "php -d display_errors=stderr, and fwrite(STDERR, …) where you would echo",
        "eof": "`while (($line = fgets(STDIN)) !== false)` ends by itself",
        "lines": "fgets(STDIN) without a length",
        "text": "json_encode(…, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE)",
        "depth": "json_decode($line, false, 1024): beyond 512 levels it gives null",
        "ids": "(int) and == make a number of it: compare with ===, and JSON_NUMERIC_CHECK is not for it",
        "numbers": "json_decode(…, JSON_BIGINT_AS_STRING)",
    },
)
SHELL = Language(
    "shell",
    {
        "flush": "printf is not buffered, but a pipe through sed, awk, grep or jq is: sed -u, awk's fflush(), "
        "grep --line-buffered, jq --unbuffered, or stdbuf -oL",
        "stray": "exec 3>&1 1>&2, first thing, and printf … >&3 for replies",
        "eof": "`while IFS= read -r line` ends by itself",
        "lines": "`IFS= read -r line`, and </dev/null for every command inside the loop",
        "text": "printf '%s\\n' \"$line\", never echo, which interprets backslashes",
    },
)
JAVA = Language(
    "Java",
    {
        "flush": "out.flush() after each reply, or new PrintStream(…, true)",
        "stray": "PrintStream replies = System.out; System.setOut(System.err), first thing",
        "eof": "readLine() gives null at the end; threads that are left need setDaemon(true), or System.exit(0)",
        "lines": "BufferedReader.readLine()",
        "text": "new InputStreamReader(System.in, StandardCharsets.UTF_8), and the same for the output",
        "depth": "catch StackOverflowError, or raise the parser's limit (Jackson: StreamReadConstraints)",
        "memory": "java -Xmx64m bounds the heap; else it grows to a quarter of the machine's memory first",
    },
)
GO = Language(
    "Go",
    {
        "flush": "w.Flush() of the bufio.Writer after each reply, or write to os.Stdout itself",
        "stray": "fmt.Fprintln(os.Stderr, …); replies := os.Stdout; os.Stdout = os.Stderr, first thing",
        "eof": "return from main when Scan() or ReadBytes() says that the input is over",
        "lines": "bufio.Reader.ReadBytes('\\n'): a bufio.Scanner stops at 64 KiB unless Buffer() says otherwise",
        "numbers": "json.Decoder.UseNumber(), or json.RawMessage for what is only passed on",
    },
)
RUST = Language(
    "Rust",
    {
        "flush": "out.flush()? after each reply",
        "stray": "eprintln! instead of println!",
        "eof": "`for line in stdin.lock().lines()` ends by itself",
        "lines": "BufRead::read_until(b'\\n', …)",
        "depth": "serde_json stops at 128 levels: Deserializer::disable_recursion_limit, or answer the error",
        "numbers": "serde_json::value::RawValue for what is only passed on, or the feature arbitrary_precision",
    },
)
C = Language(
    "C and its like",
    {
        "flush": "fflush(stdout) after each reply, or setvbuf(stdout, NULL, _IOLBF, 0) at the start",
        "stray": "int replies = dup(1); dup2(2, 1), first thing",
        "eof": "getline() gives -1 at the end",
        "lines": "getline(), not fgets() into a buffer of fixed size",
    },
)
LUA = Language(
    "Lua",
    {
        "flush": 'io.stdout:setvbuf("line")',
        "stray": 'print = function(...) io.stderr:write(table.concat({...}, "\\t"), "\\n") end, first thing',
        "eof": "`for line in io.lines() do` ends by itself",
        "lines": "`for line in io.lines() do`",
    },
)
TCL = Language(
    "Tcl",
    {
        "flush": "fconfigure stdout -buffering line",
        "stray": "puts stderr …",
        "eof": "`while {[gets stdin line] >= 0}` ends by itself",
        "lines": "`while {[gets stdin line] >= 0}`",
        "text": "fconfigure stdin -encoding utf-8, and the same for stdout",
        "ids": "compare it with eq, and never through expr",
    },
)

_BY_PROGRAM = {
    "python": PYTHON,
    "pypy": PYTHON,
    "uv": PYTHON,
    "node": NODE,
    "nodejs": NODE,
    "bun": NODE,
    "deno": NODE,
    "ruby": RUBY,
    "jruby": RUBY,
    "bundle": RUBY,
    "perl": PERL,
    "php": PHP,
    "sh": SHELL,
    "bash": SHELL,
    "dash": SHELL,
    "zsh": SHELL,
    "ksh": SHELL,
    "busybox": SHELL,
    "awk": SHELL,
    "gawk": SHELL,
    "mawk": SHELL,
    "jq": SHELL,
    "sed": SHELL,
    "grep": SHELL,
    "java": JAVA,
    "go": GO,
    "cargo": RUST,
    "lua": LUA,
    "luajit": LUA,
    "tclsh": TCL,
}
_WRAPPERS = {"env", "nice", "ionice", "setpriv", "stdbuf", "timeout", "taskset", "chrt", "nohup", "sudo", "catchsegv"}


def detect(command: Sequence[str], cwd: Path, path: str) -> Language | None:
    """The language of the program that `command` runs; None where neither its name nor its file says. `path`: where
    programs are looked for."""
    words = list(command)
    while len(words) > 1 and os.path.basename(words[0]) in _WRAPPERS:
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word and not word[:1].isdigit()]
    if not words:
        return None
    return _by_name(words[0]) or _by_file(words[0], cwd, path)


def _by_name(program: str) -> Language | None:
    name = os.path.basename(program)
    return _BY_PROGRAM.get(name) or _BY_PROGRAM.get(name.rstrip("0123456789.-"))


def _by_file(program: str, cwd: Path, path: str) -> Language | None:
    found = str(cwd / program) if "/" in program else shutil.which(program, path=path)
    try:
        with open(found or os.devnull, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    if head.startswith(b"#!"):
        line = head[2:].split(b"\n", 1)[0].decode("utf-8", "replace").split()
        return detect(line, cwd, path) if line else None
    if head.startswith(b"\x7fELF"):
        return GO if b"Go build ID" in head else C
    return None

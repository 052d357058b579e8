"""stoker top. `command` is what a person calls, `watching` asks the daemon, `frame` is what is shown (pure; `columns`
and `progress` are its parts), `painting` the bytes for that, `terminal` the terminal, `live` all of it together."""

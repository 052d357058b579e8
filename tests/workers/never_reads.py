"""Never reads its stdin: a request bigger than the pipe (64 KiB) stays half written, a smaller one wholly unread."""

from _wire import hang

hang()

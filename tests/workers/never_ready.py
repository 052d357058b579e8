"""Never ready: boots, reads nothing and says nothing. Only for `ready = true`, where it is given no job."""

from _wire import hang

hang()

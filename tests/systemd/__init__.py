"""Tests under a real systemd: in namespaces of this machine (`box`), and with a kernel of its own (`kernel`), which has
the memory controller on cgroup v2 whatever this machine has."""

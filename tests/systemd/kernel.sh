#!/bin/sh
# A machine with a kernel of its own: User-Mode Linux on a copy-on-write view of this one's root file system.
#   kernel.sh host FOLDER BIND...   in mount and PID namespaces of their own: makes the root and starts the kernel.
#                                   FOLDER has `units`, `out` and `preload`; each BIND is shown read-only
#   kernel.sh guest                 the first process in there: becomes its systemd
set -eu
case $1 in
host)
  folder=$2
  shift 2
  root=$folder/root
  mount --make-rprivate /
  mount -t tmpfs -o mode=755 layers "$folder/layers"
  mkdir "$folder/layers/upper" "$folder/layers/work"
  mount -t overlay -o "lowerdir=/,upperdir=$folder/layers/upper,workdir=$folder/layers/work" kernel "$root"
  rm -rf "$root/etc/systemd/system"
  rm -f "$root/.dockerenv" # systemd would think that it is in a container
  mkdir -p "$root/etc/systemd/system" "$root/etc/systemd/journald.conf.d" "$root/machine/out" "$root/machine/binds"
  cp -a "$folder/units/." "$root/etc/systemd/system/"
  printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n' >"$root/etc/systemd/journald.conf.d/machine.conf"
  cp "$0" "$root/machine/init"
  chmod +x "$root/machine/init"
  mount --bind "$folder/out" "$root/machine/out"
  : >"$root/machine/places" # there may be none
  for place; do # aside: the guest hides what lies in /tmp, and puts these over it
    mkdir -p "$root/machine/binds$place"
    mount --bind "$place" "$root/machine/binds$place"
    mount -o remount,bind,ro "$root/machine/binds$place"
    echo "$place" >>"$root/machine/places"
  done
  mkdir "$folder/home" "$folder/memory"
  mount -t tmpfs memory "$folder/memory"
  cd "$root"
  exec env HOME="$folder/home" TMPDIR="$folder/memory" LD_PRELOAD="$folder/preload" linux.uml mem=768M \
    root=/dev/root rootfstype=hostfs rootflags="$root" rw init=/machine/init con=null con0=null,fd:1 con1=null ssl=null \
    umid=machine quiet panic=-1 systemd.unified_cgroup_hierarchy=1 -- guest </dev/null
  ;;
guest)
  PATH=/usr/sbin:/usr/bin:/sbin:/bin
  # In the files of the machine outside, everything new would be root's: what services write goes elsewhere.
  for place in /tmp /var/tmp /var/lib /var/log; do mount -n -t tmpfs -o mode=755 tmpfs "$place"; done
  chmod 1777 /tmp /var/tmp
  mkdir -m 700 /var/lib/private /var/log/private
  while read -r place; do
    mkdir -p "$place"
    mount -n --bind "/machine/binds$place" "$place"
  done </machine/places
  exec env -i PATH="$PATH" LANG=C.UTF-8 SYSTEMD_GENERATOR_PATH=/machine/none \
    /lib/systemd/systemd --unit=machine.target --show-status=no --log-target=journal-or-kmsg
  ;;
esac

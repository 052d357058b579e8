#!/bin/sh
# The first process in a box's namespaces: makes its root and becomes its systemd.
#   box.sh FOLDER BIND...     FOLDER has `units` and gets `pid`; each BIND is shown as well
set -eu
folder=$1
shift
root=$folder/root
read -r pid _ </proc/self/stat # as the machine outside sees us: /proc is still its own

mount --make-rprivate /
mount -t tmpfs -o mode=755 box "$folder/layers"
mkdir "$folder/layers/upper" "$folder/layers/work"
mount -t overlay -o "lowerdir=/,upperdir=$folder/layers/upper,workdir=$folder/layers/work" box "$root"

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
for node in null zero full random urandom tty; do
  : >"$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
: >"$root/dev/console"
mount --bind /dev/null "$root/dev/console"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for place in run tmp var/tmp; do mount -t tmpfs -o nosuid,nodev tmp "$root/$place"; done
chmod 755 "$root/run"
mkdir -p "$root/var/lib/private" && chmod 700 "$root/var/lib/private"
# Hides the units that are enabled outside.
mount -t tmpfs -o mode=755,nosuid,nodev etc "$root/etc/systemd/system"
cp -a "$folder/units/." "$root/etc/systemd/system/"

# As outside: version 2 alone, or beside systemd's own tree of version 1.
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
  mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs "$root/sys/fs/cgroup"
  mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
  mount -t cgroup -o nosuid,nodev,noexec,none,name=systemd,xattr cgroup "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup/unified"
  mount -o remount,ro "$root/sys/fs/cgroup"
fi

# systemd as PID 1 sets what it finds of the kernel: not here, where the kernel is the machine's own.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -o remount,bind,ro "$root/sys"
mkdir -p "$root/run/systemd/journald.conf.d" "$root/run/empty"
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n' >"$root/run/systemd/journald.conf.d/box.conf"
for place; do
  number=$((${number:-0} + 1))
  mkdir -p "$root$place" "$folder/layers/upper$number" "$folder/layers/work$number"
  layers="lowerdir=$place,upperdir=$folder/layers/upper$number,workdir=$folder/layers/work$number"
  mount -t overlay -o "$layers" box "$root$place"
done

cd "$root"
mkdir -p .old
pivot_root . .old
cd /
echo "$pid" >"/.old$folder/pid.new"
mv "/.old$folder/pid.new" "/.old$folder/pid"
umount -l /.old
rmdir /.old
# As systemd does itself outside of containers: what it mounts for a service's credentials would not be seen otherwise.
mount --make-rshared /
exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  SYSTEMD_GENERATOR_PATH=/run/empty SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/empty \
  /lib/systemd/systemd --unit=basic.target --show-status=no --log-target=journal-or-kmsg </dev/null >/run/boot.log 2>&1

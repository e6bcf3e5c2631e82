#!/bin/busybox sh
# /init of the host's kernel under `run --host-kernel`: mounts the usual things, loads disk, network
# and file system, and gives a shell on the console.

export PATH=/bin HOME=/ TERM=linux
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp

# Loads a module after those that it depends on; a kernel that did not come with it refuses it.
load() {
    for module in $(sed -n "s/^$1://p" /lib/modules/depends); do load "$module"; done
    [ -d "/sys/module/$1" ] || insmod "/lib/modules/$1.ko" 2> /dev/null
}
for module in $(cut -d : -f 1 /lib/modules/depends); do load "$module"; done

# QEMU's user network gives its only guest this address.
ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
    ip link set eth0 up
    ip addr add 10.0.2.15/24 dev eth0
    ip route add default via 10.0.2.2
    echo 'nameserver 10.0.2.3' > /etc/resolv.conf
    network='eth0, 10.0.2.15'
fi
[ ! -e /dev/vda ] || disk="/dev/vda, $(($(cat /sys/block/vda/size) / 2048)) MiB"
level=$(dmesg | grep -o 'started at EL[12]' | head -n 1)
{
    echo
    echo "This is Linux $(uname -r) as the host: $(grep -c '^processor' /proc/cpuinfo) CPU(s)," \
        "${level:-level unknown}, $(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MiB."
    echo "Disk: ${disk:-none}. Network: ${network:-none}."
    echo "'poweroff' or Ctrl-A x ends the machine."
    echo
} > /tmp/welcome
# busybox init gives its shells job control and answers `poweroff`, `reboot` and `halt`.
cat > /etc/inittab << 'END'
::sysinit:/bin/cat /tmp/welcome
::respawn:/bin/cttyhack /bin/sh -l
::shutdown:/bin/stty cs8
END
exec init

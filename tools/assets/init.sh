#!/bin/busybox sh
# /init of Cairn's guest. With `cairn.check` on the kernel command line it proves that it runs as a Realm and that
# memory, CPUs, timer, shared memory and floating point work and that it can prove itself to others, prints one line per
# check, and powers off. Without it, it gives a shell on the console.
#
# Lines for the tool:  cairn-guest: ok NAME [detail]   cairn-guest: FAIL NAME detail   cairn-guest: done
#   cairn-guest: challenge?    the tool types a challenge, as hexadecimal digits
#   cairn-guest: token HEX     a part of the token for it

export PATH=/bin HOME=/ TERM=linux
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp

# --- tools ----------------------------------------------------------------------------------------------------------

say() { echo "cairn-guest: $*"; }

# The value of NAME in `NAME=value` on the kernel command line.
argument() { tr ' ' '\n' < /proc/cmdline | sed -n "s/^$1=//p"; }

# Loads a module after those that it depends on; says nothing if it is built in.
load() {
    for module in $(sed -n "s/^$1://p" /lib/modules/depends); do load "$module"; done
    [ -d "/sys/module/$1" ] || [ ! -e "/lib/modules/$1.ko" ] || insmod "/lib/modules/$1.ko"
}

# Hundredths of a second since boot.
now() { sed 's/^\([0-9]*\)\.\([0-9][0-9]\).*/\1\2/' /proc/uptime; }

online() { grep -c '^processor' /proc/cpuinfo; }

# Waits until the console has sent everything, which `poweroff -f` does not; stty does so before it changes anything.
drain() { stty cs8 < /dev/console; }

# Seconds after which what has not answered counts as broken: `cairn.patience=N`, as a busy machine needs more.
PATIENCE=$(argument cairn.patience)
PATIENCE=${PATIENCE:-150}

# Runs a command with a time limit, so that a device that never answers is a failed check and not a hang.
limited() { timeout "$PATIENCE" "$@"; }

# --- checks: each prints a detail and returns 0 if all is well ------------------------------------------------------

# The kernel talked to the monitor and found that it is a Realm.
check_rsi() {
    dmesg | grep -o 'Using RSI version.*' || { echo "the kernel found no RSI"; return 1; }
}

# Memory keeps what is written to it.
check_memory() {
    mib=$(awk '/^MemAvailable/ { print int($2 / 1024 / 2) }' /proc/meminfo)
    [ "$mib" -le 32 ] || mib=32
    mkdir -p /tmp/memory
    mount -t tmpfs -o "size=$((mib + 1))m" tmpfs /tmp/memory
    dd if=/dev/urandom of=/tmp/memory/seed bs=1M count=1 2> /dev/null
    i=1
    while [ "$i" -lt "$mib" ]; do
        cat /tmp/memory/seed && i=$((i + 1))
    done > /tmp/memory/data
    first=$(md5sum < /tmp/memory/data)
    sync
    second=$(md5sum < /tmp/memory/data)
    size=$(wc -c < /tmp/memory/data)
    umount /tmp/memory
    [ "$size" -eq $(((mib - 1) << 20)) ] || { echo "wrote $mib MiB but $size bytes are there"; return 1; }
    [ "$first" = "$second" ] || { echo "$mib MiB changed between two readings"; return 1; }
    echo "$mib MiB"
}

# All CPUs are there, run at the same time, and can be switched off and on.
check_cpus() {
    wanted=$(argument cairn.cpus)
    [ "$(online)" = "${wanted:-$(online)}" ] || { echo "$(online) CPUs online instead of $wanted"; return 1; }
    count=$(online)
    cpu=0
    while [ "$cpu" -lt "$count" ]; do
        taskset "$(printf '%x' $((1 << cpu)))" sh -c "$SPIN" > "/tmp/cpu$cpu" &
        cpu=$((cpu + 1))
    done
    wait
    cpu=0
    while [ "$cpu" -lt "$count" ]; do
        [ "$(cat "/tmp/cpu$cpu")" = "$cpu" ] || { echo "work for CPU $cpu ran on '$(cat "/tmp/cpu$cpu")'"; return 1; }
        cpu=$((cpu + 1))
    done
    switch=/sys/devices/system/cpu/cpu1/online
    if [ -e "$switch" ]; then
        for round in 1 2 3; do
            limited sh -c "echo 0 > $switch" || { echo "CPU 1 does not go off"; return 1; }
            [ "$(online)" -eq $((count - 1)) ] || { echo "CPU 1 is still there after it was switched off"; return 1; }
            limited sh -c "echo 1 > $switch" || { echo "CPU 1 does not come back"; return 1; }
            [ "$(online)" -eq "$count" ] || { echo "CPU 1 is missing after it was switched on"; return 1; }
        done
        [ "$(taskset 2 sh -c "$SPIN")" = 1 ] || { echo "CPU 1 does not work after it was switched on"; return 1; }
    fi
    echo "$count"
}

# How many hundredths of a second `sleep $1` takes.
time_sleep() {
    start=$(now)
    sleep "$1"
    echo $(($(now) - start))
}

# A second takes a second: never less, and little more than starting the programs that measure it takes. On a machine that
# is busy some rounds take longer; a timer that is late is late each time.
check_timer() {
    for round in 1 2 3 4 5 6 7 8 9 10; do
        took=$(time_sleep 1)
        limit=$((150 + 2 * $(time_sleep 0)))
        [ "$took" -ge 99 ] || { echo "sleeping 1.00 s took only $took hundredths"; return 1; }
        [ "$took" -gt "$limit" ] || { echo "$took hundredths"; return; }
    done
    echo "sleeping 1.00 s took $took hundredths, more than $limit"
    return 1
}

# Reads random bytes from the host's device through shared memory.
read_hwrng() {
    got=$(limited dd if=/dev/hwrng bs=512 count=8 iflag=fullblock 2> /dev/null | tee /tmp/random | wc -c)
    [ "$got" -eq 4096 ] || { echo "read $got of 4096 random bytes"; return 1; }
    # 4096 random bytes cannot be compressed; zeroes or repeated bytes can.
    [ "$(gzip -c < /tmp/random | wc -c)" -gt 4000 ] || { echo "the random bytes are not random"; return 1; }
}

# Memory goes from private to shared and back: at boot (bounce buffers) and at run time (the device's queue).
check_shared() {
    dmesg | grep -q 'software IO TLB: mapped' || { echo "the kernel has no bounce buffers"; return 1; }
    nodes=$(find /proc/device-tree/ -name compatible -exec grep -l 'virtio,mmio' {} +)
    # The name differs on purpose: the tool does not count this as the check.
    [ -n "$nodes" ] || { say "ok shared-skipped no virtio device"; return 2; }
    load virtio_mmio
    load virtio_rng
    driver=/sys/bus/virtio/drivers/virtio_rng
    device=$(cd "$driver" 2> /dev/null && echo virtio[0-9]*)
    [ -e "$driver/$device" ] || { echo "the virtio device has no driver"; return 1; }
    for round in 1 2 3 4; do
        read_hwrng || return 1
        cp /tmp/random "/tmp/random.$round"
        limited sh -c "echo $device > $driver/unbind" || { echo "the device cannot be released"; return 1; }
        limited sh -c "echo $device > $driver/bind" || { echo "the device cannot be taken again"; return 1; }
    done
    cmp -s /tmp/random.1 /tmp/random.2 && { echo "two readings are equal"; return 1; }
    echo "$round rounds"
}

# Floating-point registers survive exits and other users: the same sums on all CPUs at once, twice as many as CPUs.
check_simd() {
    jobs=$(($(online) * 2))
    job=0
    while [ "$job" -lt "$jobs" ]; do
        awk 'BEGIN {
            for (i = 1; i <= 5000; i++) { s += 1 / (i * i); t += i / 7; t -= t / (i + 1) }
            printf "%.12f %.9f\n", s, t
        }' > "/tmp/sum$job" &
        job=$((job + 1))
    done
    wait
    job=0
    while [ "$job" -lt "$jobs" ]; do
        sum=$(cat "/tmp/sum$job")
        [ "$sum" = "$SUMS" ] || { echo "sums are '$sum' instead of '$SUMS'"; return 1; }
        job=$((job + 1))
    done
    echo "$jobs jobs"
}

# A relying party gets a token for its own challenge. The tool is that party: it makes up the challenge when it is asked,
# and verifies the token that it gets. The challenge comes by the console because the kernel command line is measured.
check_token() {
    load arm_cca_guest
    stty -echo < /dev/console
    say "challenge?" > /dev/console
    read -r -t "$PATIENCE" challenge < /dev/console || { echo "nobody gave a challenge"; return 1; }
    limited token "$challenge" > /tmp/token 2> /tmp/token.why || { echo $(cat /tmp/token.why); return 1; }
    hexdump -v -e '32/1 "%02x" "\n"' /tmp/token | sed 's/^/cairn-guest: token /' > /dev/console
    echo "$(wc -c < /tmp/token) bytes"
}

# What one CPU does in check_cpus, as text because taskset starts a program.
SPIN='
    now() { sed "s/^\([0-9]*\)\.\([0-9][0-9]\).*/\1\2/" /proc/uptime; }
    end=$(($(now) + 100))
    while [ "$(now)" -lt "$end" ]; do :; done
    awk "{ print \$39 }" /proc/self/stat'

# 64-bit floating point in this order gives exactly these digits.
SUMS='1.644734086847 1190595.238095238'

run_check() {
    detail=$("check_$1")
    case $? in
        0) say "ok $1 $detail" ;;
        2) echo "$detail" ;;
        *) say "FAIL $1 $detail" ;;
    esac
}

# --- the two ways to use it -----------------------------------------------------------------------------------------

if grep -qw cairn.check /proc/cmdline; then
    dmesg -n 1 # the kernel's own lines must not cut ours in two
    say "kernel $(uname -r)"
    for check in rsi memory cpus timer shared simd token; do run_check "$check"; done
    say "done"
    drain
    poweroff -f
fi

load virtio_mmio
load virtio_rng
load arm_cca_guest 2> /dev/null # refuses to load where it is not a Realm
{
    echo
    echo "This is Linux $(uname -r) in a Realm: $(online) CPU(s), $(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MiB."
    echo "The monitor speaks: $(dmesg | grep -o 'RSI version.*' || echo 'no RSI; this is not a Realm')"
    echo "'token HEX > FILE' fetches an attestation token for the challenge HEX (32 to 64 bytes)."
    echo "'poweroff' ends the Realm; Ctrl-A x ends the machine."
    echo
} > /tmp/welcome
# The shell is busybox init's child and not this script's: a shell without job control, as this one
# is, lets whatever it starts in the background ignore SIGINT and SIGQUIT for good, so that Ctrl-C
# would end nothing. init gives its children the usual signals, starts another shell when one ends,
# and answers `poweroff`, `reboot` and `halt`. `cttyhack` makes the console the terminal that those
# signals come from.
cat > /etc/inittab << 'END'
::sysinit:/bin/cat /tmp/welcome
::respawn:/bin/cttyhack /bin/sh -l
::shutdown:/bin/stty cs8
END
exec init

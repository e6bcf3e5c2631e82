#!/bin/busybox sh
# Fetches an attestation token of this Realm: `token HEX > FILE`, where HEX is the relying party's challenge, 32 to 64
# bytes. It takes no more than configfs and the kernel's own modules tsm_report and arm-cca-guest.

# Says what is wrong and what is right, and ends with the exit code of a wrong call.
refuse() {
    echo "token: $1" >&2
    echo "usage: token HEX > FILE" >&2
    echo "  HEX is the challenge of whoever wants the token: 64 to 128 hexadecimal digits, two for each of 32 to 64" >&2
    echo "  bytes. It should be new each time, and random. A challenge of fewer than 64 bytes is filled up with zeros." >&2
    echo "  The token is not text, so send it to a file. \`cargo xtask token verify\` checks it outside." >&2
    exit 2
}

[ $# -eq 1 ] || refuse "wants one argument and got $#"
case $1 in
    '' | *[!0-9a-fA-F]*) refuse "the challenge has something other than hexadecimal digits" ;;
esac
[ $((${#1} % 2)) -eq 0 ] || refuse "the challenge has an odd number of digits, ${#1}"
{ [ ${#1} -ge 64 ] && [ ${#1} -le 128 ]; } || refuse "the challenge has $((${#1} / 2)) bytes instead of 32 to 64"
[ ! -t 1 ] || refuse "the token would go to the terminal"

reports=/sys/kernel/config/tsm/report
[ -d "$reports" ] || mount -t configfs configfs /sys/kernel/config
report=$reports/$$
mkdir "$report" || exit
printf "$(echo "$1" | sed 's/../\\x&/g')" > "$report/inblob" && cat "$report/outblob"
status=$?
rmdir "$report"
exit $status

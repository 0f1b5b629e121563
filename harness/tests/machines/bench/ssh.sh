#!/bin/sh
bench=BENCH
for command; do :; done
echo "$command" | head -n 1 >>"$bench/log"
[ -e "$bench/up" ] && [ ! -e "$bench/unplugged" ] || exit 255
case "$command" in
    *boot_id*)
        echo "boot=$(cat "$bench/boot")"
        printf 'release=own\nmachine=x86_64\nuid=0\ndisabled=0\nlockdown=[none]\nfirmware=bench 1\n'
        ;;
    *mktemp*)
        rm -rf "$bench/memory" && mkdir "$bench/memory" && tar -xf - -C "$bench/memory" || exit 1
        echo /dev/shm/perfsec-bench
        ;;
    *kexec-load*)
        case "$command" in *vmlinuz*) cp "$bench/vmlinuz" "$bench/memory/kernel" || exit 1 ;; esac
        if [ -e "$bench/refuse" ]; then
            echo 'could not load the kernel by kexec: Exec format error' >&2
            exit 1
        fi
        ;;
    'cd / && '*)
        # In the directory that has its pstore. They are perfsec's own commands.
        (cd "$bench/root" && sh -c "${command#cd / && }")
        ;;
    'export PERFSEC_'*)
        # A command of the site that is run there.
        sh -c "$(printf %s "$command" | sed "s|/dev/shm/perfsec-bench|$bench/memory|g")"
        ;;
    'cp "/boot/vmlinuz'*) cp "$bench/vmlinuz" "$bench/memory/kernel" ;;
    'cat "/boot/vmlinuz'*) cat "$bench/vmlinuz" ;;
    *'; reboot'*)
        touch "$bench/reboot"
        echo going
        ;;
    *kexec-start*)
        touch "$bench/start"
        echo going
        ;;
    *) ;;
esac

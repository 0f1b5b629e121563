#!/bin/sh
bench=BENCH
echo "power $1" >>"$bench/log"
case "$1" in
    status) [ -e "$bench/off" ] && echo off || echo on ;;
    off)
        if [ -e "$bench/stuck" ]; then
            echo 'the unit does not answer' >&2
            exit 1
        fi
        touch "$bench/off"
        rm -f "$bench/up"
        ;;
    on) rm -f "$bench/off" ;;
esac

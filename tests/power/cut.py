#!/usr/bin/env python3
"""Cuts the power of mounted ext4 file systems, again and again.

Reads lines "FLAG MOUNTPOINT" and answers each with "cut", or "failed WHY".
FLAG 2: at once, nothing that was not synced is kept. FLAG 1: the file system's
own journal is written first, so that names and lengths may be kept whose
contents are not.
"""
import fcntl
import os
import struct
import sys

# linux/fs/ext4: _IOR('X', 125, __u32)
EXT4_IOC_SHUTDOWN = 0x8004587D

for line in sys.stdin:
    flag, mount_point = line.rstrip("\n").split(" ", 1)
    try:
        folder = os.open(mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", int(flag)))
        finally:
            os.close(folder)
        print("cut", flush=True)
    except OSError as error:
        print("failed", error, flush=True)

"""Put files on a flash image: `micropython -m install IMAGE BLOCKS FOLDER` copies FOLDER to its root."""

import errno
import os
import sys

import flash

_DIRECTORY = 0x4000


def copy(source, target):
    for name, kind, *_ in os.ilistdir(source):
        if kind == _DIRECTORY:
            try:
                os.mkdir(target + "/" + name)
            except OSError as error:
                if error.errno != errno.EEXIST:
                    raise
            copy(source + "/" + name, target + "/" + name)
        else:
            with open(source + "/" + name, "rb") as read, open(target + "/" + name, "wb") as write:
                while True:
                    data = read.read(1024)
                    if not data:
                        break
                    write.write(data)


if __name__ == "__main__":
    flash.mount(flash.HostFlash(sys.argv[1], int(sys.argv[2])), "/flash")
    copy(sys.argv[3], "/flash")

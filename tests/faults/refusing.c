/* Loaded before the C library: makes the calls that $REFUSED names fail with an errno, as the file
 * systems of shares and of user space do. REFUSED="flock=38 fsync-folder=22 fsync=5 chmod=1" */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int refused(const char *name) {
    const char *found = getenv("REFUSED");
    size_t length = strlen(name);
    for (; found && *found; found = strchr(found, ' '), found = found ? found + 1 : found) {
        if (strncmp(found, name, length) == 0 && found[length] == '=') {
            errno = atoi(found + length + 1);
            return -1;
        }
    }
    return 0;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

int flock(int descriptor, int operation) {
    return refused("flock") ? -1 : NEXT(int (*)(int, int), "flock")(descriptor, operation);
}

int chmod(const char *path, mode_t mode) {
    return refused("chmod") ? -1 : NEXT(int (*)(const char *, mode_t), "chmod")(path, mode);
}

int fchmod(int descriptor, mode_t mode) {
    return refused("chmod") ? -1 : NEXT(int (*)(int, mode_t), "fchmod")(descriptor, mode);
}

int fsync(int descriptor) {
    struct stat about;
    if (fstat(descriptor, &about) != 0) return -1;
    if (refused(S_ISDIR(about.st_mode) ? "fsync-folder" : "fsync-file")) return -1;
    return NEXT(int (*)(int), "fsync")(descriptor);
}

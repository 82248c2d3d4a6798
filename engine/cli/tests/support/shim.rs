//! A library laid before the system's: a disk that fails, and a process that
//! stops at a chosen place inside a write or a read of the journal.

use super::{Place, skipped};
use std::{path::PathBuf, process::Command};

/// `SHIM_FAIL_SYNC=N`: the Nth and every later sync of the journal fails.
/// `SHIM_STOP_SYNC=N`, `SHIM_STOP_READ=N`: the process stops itself there.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int point(const char *name) { const char *text = getenv(name); return text ? atoi(text) : 0; }

static int journal(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "journal.db") != NULL;
}

static int synced(int fd) {
    static int count;
    if (!journal(fd)) return 0;
    count++;
    if (count == point("SHIM_STOP_SYNC")) raise(SIGSTOP);
    int fail = point("SHIM_FAIL_SYNC");
    return fail && count >= fail;
}

static void looked(int fd) {
    static int count;
    if (journal(fd) && ++count == point("SHIM_STOP_READ")) raise(SIGSTOP);
}

int fsync(int fd) {
    if (synced(fd)) { errno = EIO; return -1; }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
    if (synced(fd)) { errno = EIO; return -1; }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
ssize_t read(int fd, void *to, size_t size) {
    looked(fd);
    return ((ssize_t (*)(int, void *, size_t))dlsym(RTLD_NEXT, "read"))(fd, to, size);
}
ssize_t pread64(int fd, void *to, size_t size, off64_t at) {
    looked(fd);
    return ((ssize_t (*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64"))(fd, to, size, at);
}
"#;

/// Builds it; `None`, loudly, where there is no compiler.
pub(crate) fn shim(place: &Place, what: &str) -> Option<PathBuf> {
    place.write("shim.c", SOURCE);
    let library = place.path("shim.so");
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(place.path("shim.c")).arg("-ldl");
    match gcc.output() {
        Ok(built) if built.status.success() => Some(library),
        Ok(built) => {
            skipped(what, &format!("gcc: {}", String::from_utf8_lossy(&built.stderr)));
            None
        }
        Err(error) => {
            skipped(what, &format!("gcc: {error}"));
            None
        }
    }
}

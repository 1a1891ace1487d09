// The loader: makes the calls that a row of the benchmark times, in a process that serves nothing.
//
//   load OPERATION DIR DIRS FILES BATCHES [THREADS [SIZE]]
//        works on DIR/d<0..DIRS>/f<0..FILES>, in BATCHES one after the other
//   stdout: a line for each batch: nanoseconds, operations (readdir: entries)
//
// Rule: paths are built, and memory is touched, before the clock starts; a call that answers
// something else than expected ends the program with its name and exit status 1.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static char **paths, **others, **folders;
static int dirs, files;
static size_t size = 4096;
static char block[1 << 20];

static void die(const char *call, const char *path) {
  fprintf(stderr, "%s %s: %s\n", call, path, strerror(errno));
  exit(1);
}

static long write_all(const char *path, int flags, size_t bytes) {
  int fd = open(path, flags, 0644);
  if (fd < 0) die("open", path);
  for (size_t done = 0; done < bytes;) {
    size_t part = bytes - done < sizeof block ? bytes - done : sizeof block;
    ssize_t wrote = write(fd, block, part);
    if (wrote <= 0) die("write", path);
    done += wrote;
  }
  if (close(fd) != 0) die("close", path);
  return 1;
}

static long op_lookup(int i) {
  struct stat at;
  if (lstat(paths[i], &at) != 0) die("lstat", paths[i]);
  return 1;
}

static long op_absent(int i) {
  struct stat at;
  if (lstat(others[i], &at) == 0 || errno != ENOENT) die("lstat of an absent name", others[i]);
  return 1;
}

static long op_open(int i) {
  char bytes[4096];
  int fd = open(paths[i], O_RDONLY);
  if (fd < 0) die("open", paths[i]);
  if (read(fd, bytes, sizeof bytes) < 0) die("read", paths[i]);
  close(fd);
  return 1;
}

static long op_read(int i) {
  int fd = open(paths[i], O_RDONLY);
  if (fd < 0) die("open", paths[i]);
  ssize_t got;
  while ((got = read(fd, block, sizeof block)) > 0);
  if (got < 0) die("read", paths[i]);
  close(fd);
  return 1;
}

static long op_create(int i) { return write_all(paths[i], O_WRONLY | O_CREAT | O_EXCL, size); }
static long op_append(int i) { return write_all(paths[i], O_WRONLY | O_APPEND, 1); }
static long op_overwrite(int i) { return write_all(paths[i], O_WRONLY, 4096); }

static long op_mkdir(int i) {
  if (mkdir(paths[i], 0755) != 0) die("mkdir", paths[i]);
  return 1;
}

static long op_symlink(int i) {
  if (symlink("target", paths[i]) != 0) die("symlink", paths[i]);
  return 1;
}

static long op_rename(int i) {
  if (rename(paths[i], others[i]) != 0) die("rename", paths[i]);
  return 1;
}

static long op_unlink(int i) {
  if (unlink(paths[i]) != 0) die("unlink", paths[i]);
  return 1;
}

static long op_chmod(int i) {
  if (chmod(paths[i], 0600) != 0) die("chmod", paths[i]);
  return 1;
}

static long op_setxattr(int i) {
  if (setxattr(paths[i], "user.bench", "0123456789abcdef", 16, 0) != 0) die("setxattr", paths[i]);
  return 1;
}

static long op_getxattr(int i) {
  char value[64];
  if (getxattr(paths[i], "user.bench", value, sizeof value) != 16) die("getxattr", paths[i]);
  return 1;
}

static long list(int d, int with_stat) {
  DIR *dir = opendir(folders[d]);
  if (dir == NULL) die("opendir", folders[d]);
  long entries = 0;
  struct stat at;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL; entries++)
    if (with_stat && fstatat(dirfd(dir), entry->d_name, &at, AT_SYMLINK_NOFOLLOW) != 0)
      die("fstatat", entry->d_name);
  closedir(dir);
  if (entries < files) die("readdir: too few entries in", folders[d]);
  return entries;
}

static long op_readdir(int d) { return list(d, 0); }
static long op_readdir_stat(int d) { return list(d, 1); }

/** Takes the pages of the files out of the page cache of their own filesystem. */
static long op_evict(int i) {
  int fd = open(paths[i], O_RDONLY);
  if (fd < 0) die("open", paths[i]);
  fsync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
  return 1;
}

static const struct {
  const char *name;
  long (*run)(int);
  int per_folder, makes;
} OPERATIONS[] = {
    {"lookup", op_lookup, 0, 0},     {"absent", op_absent, 0, 0},
    {"open", op_open, 0, 0},         {"create", op_create, 0, 1},
    {"append", op_append, 0, 0},     {"overwrite", op_overwrite, 0, 0},
    {"mkdir", op_mkdir, 0, 1},       {"symlink", op_symlink, 0, 1},
    {"rename", op_rename, 0, 0},     {"unlink", op_unlink, 0, 0},
    {"chmod", op_chmod, 0, 0},       {"setxattr", op_setxattr, 0, 0},
    {"getxattr", op_getxattr, 0, 0}, {"readdir", op_readdir, 1, 0},
    {"readdir-stat", op_readdir_stat, 1, 0}, {"evict", op_evict, 0, 0},
    {"read", op_read, 0, 0},
};

static long (*run)(int);

struct share {
  int from, to;
  long done;
};

static void *work(void *given) {
  struct share *share = given;
  for (int i = share->from; i < share->to; i++) share->done += run(i);
  return NULL;
}

static void batch(int from, int to, int threads) {
  pthread_t started[threads];
  struct share shares[threads];
  for (int t = 0; t < threads; t++)
    shares[t] = (struct share){from + (to - from) * t / threads, from + (to - from) * (t + 1) / threads, 0};
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (threads == 1) work(&shares[0]);
  else {
    for (int t = 0; t < threads; t++) pthread_create(&started[t], NULL, work, &shares[t]);
    for (int t = 0; t < threads; t++) pthread_join(started[t], NULL);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  long done = 0;
  for (int t = 0; t < threads; t++) done += shares[t].done;
  printf("%lld %ld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec, done);
}

static void build_paths(const char *root) {
  paths = calloc((size_t)dirs * files, sizeof *paths);
  others = calloc((size_t)dirs * files, sizeof *others);
  folders = calloc(dirs, sizeof *folders);
  for (int d = 0; d < dirs; d++) {
    if (asprintf(&folders[d], "%s/d%d", root, d) < 0) exit(1);
    for (int f = 0; f < files; f++) {
      if (asprintf(&paths[d * files + f], "%s/d%d/f%d", root, d, f) < 0) exit(1);
      if (asprintf(&others[d * files + f], "%s/d%d/n%d", root, d, f) < 0) exit(1);
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "usage: load OPERATION DIR DIRS FILES BATCHES [THREADS [SIZE]]\n");
    return 2;
  }
  dirs = atoi(argv[3]);
  files = atoi(argv[4]);
  int batches = atoi(argv[5]), threads = argc > 6 ? atoi(argv[6]) : 1;
  if (argc > 7) size = strtoull(argv[7], NULL, 10);
  unsigned seed = 1;
  for (size_t i = 0; i < sizeof block; i++) block[i] = (seed = seed * 1664525 + 1013904223) >> 24;
  for (size_t o = 0; o < sizeof OPERATIONS / sizeof *OPERATIONS; o++) {
    if (strcmp(OPERATIONS[o].name, argv[1]) != 0) continue;
    run = OPERATIONS[o].run;
    build_paths(argv[2]);
    for (int d = 0; OPERATIONS[o].makes && d < dirs; d++)
      if (mkdir(folders[d], 0755) != 0 && errno != EEXIST) die("mkdir", folders[d]);
    int total = OPERATIONS[o].per_folder ? dirs : dirs * files;
    for (int b = 0; b < batches; b++)
      batch((int)((long)total * b / batches), (int)((long)total * (b + 1) / batches), threads);
    return 0;
  }
  fprintf(stderr, "unknown operation: %s\n", argv[1]);
  return 2;
}

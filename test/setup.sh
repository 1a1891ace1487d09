#!/bin/sh
# Brings what `npm run demo`, `npm test` and `npm run bench` need on a fresh Debian 12 with Node 20.
#
#   sh test/setup.sh demo|test|bench
#     1. Debian packages that are missing   root: apt-get installs them; anybody else: see below
#     2. /dev/fuse open to everybody        root: chmod, because udev is absent in some containers;
#        and /etc/mtab                      what Debian's installer makes, and some containers lack
#     3. npm ci                             when node_modules is missing or older than the lock file
#     4. the build                          when a source is newer than dist/
#     5. sshd, unpacked into .build/sshd   tests and bench deploy to hosts on loopback; it is never installed
#     6. bench: what it compiles            into .build/bench: its loader, and a peer of which Debian has only the source
#
# Rule: it never asks for sudo. An ordinary user needs fuse3 and bubblewrap from root; where one is
# missing it prints the one line to run and ends before anything is downloaded.

set -eu
what=${1:-test}
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
end() { printf 'setup: %s\n' "$*" >&2; exit 8; }

# One package a line: name, a command or file that proves it is there, and why it is wanted.
# Text inside <> says which of the three commands want it.
packages() {
  cat <<'LIST'
fuse3        fusermount3      <demo test bench> mounts for ordinary users, and umount
bubblewrap   bwrap            <demo test bench> svsfs run: a program with the view as its root
libfuse2     libfuse.so.2     <test bench>      the second transport (npm package fuse-native)
systemd      systemd-analyze  <test>            tests let it check the units of svsfs enable; nothing is started
groff-base   groff            <test>            pages of the manual are shown as man(1) shows them
desktop-file-utils desktop-file-validate <test> tests let it check the entries of svsfs desktop
attr         setfattr         <test>            tests look at extended attributes from outside
e2fsprogs    mkfs.ext4        <test>            tests fill small disks up, and break one
git          git              <test bench>      the story of the tests: a repository is damaged and put back
sqlite3      sqlite3          <test bench>      the story of the tests: so is a database
openssh-client ssh            <test bench>      hosts that layers are deployed to, on loopback
xz-utils     xz               <test bench>      tests import archives of each compression
zstd         zstd             <test bench>      and of this one
bzip2        bzip2            <test>            and of this one
docker-registry docker-registry <test>        tests bring layers to a real registry, and get them from there
skopeo       skopeo           <test>            tests have another tool read and carry what svsfs has written
umoci        umoci            <test>            and unpack an image that svsfs has made
fuse-overlayfs fuse-overlayfs <bench>         a peer that the benchmark compares with
unionfs-fuse unionfs          <bench>           another
mergerfs     mergerfs         <bench>           another
libfuse3-dev fuse3.pc         <bench>           the example passthrough_hp of libfuse is compiled, another
gcc          gcc              <bench>           compiles the loader, which makes the calls that are timed
g++          g++              <bench>           compiles passthrough_hp
pkgconf      pkg-config       <bench>           says how
fio          fio              <bench>           reads and writes at random
restic       restic           <bench>           keeps states, as svsfs does
borgbackup   borg             <bench>           another
ostree       ostree           <bench>           another
rsync        rsync            <bench>           another, of deployments
time         /usr/bin/time    <bench>           says how much memory a command took
LIST
}

present() {
  case $1 in
    *.pc) ls /usr/lib/*/pkgconfig/"$1" >/dev/null 2>&1 ;;
    lib*) ldconfig -p 2>/dev/null | grep -q "$1" || ls /lib/*/"$1" /usr/lib/*/"$1" >/dev/null 2>&1 ;;
    *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# --- Node ---------------------------------------------------------------------------------------
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
  end "Node 20.19 or newer is needed, this is $(node --version)"

# --- Debian packages ------------------------------------------------------------------------------
missing=$(packages | while read -r name proof rest; do
  case ${rest%%>*} in *"$what"*) present "$proof" || echo "$name" ;; esac
done)
uid=$(id -u)

if [ "$uid" != 0 ]; then
  needed=$(for name in $missing; do case $name in fuse3 | bubblewrap) printf ' %s' "$name" ;; esac; done)
  line=''
  [ -z "$needed" ] || line="apt-get update && apt-get install -y --no-install-recommends$needed"
  if [ ! -e /dev/fuse ]; then
    end 'this machine has no /dev/fuse, so nothing can be mounted; root can load it: modprobe fuse'
  elif [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
    line="${line:+$line && }chmod 0666 /dev/fuse"
  fi
  [ -e /etc/mtab ] || line="${line:+$line && }ln -s ../proc/self/mounts /etc/mtab"
  [ -z "$line" ] || end "root has to run this once, then try again:  $line"
  for name in $missing; do say "not here, what needs it is left out: $name"; done
else
  if [ -n "$missing" ]; then
    say 'installs these Debian packages:'
    packages | while read -r name proof rest; do
      for one in $missing; do
        [ "$one" != "$name" ] || printf '  %-15s %s\n' "$name" "$(echo "${rest#*>}" | sed 's/^ *//')"
      done
    done
    command -v apt-get >/dev/null || end "no apt-get here; install these by hand:" $missing
    export DEBIAN_FRONTEND=noninteractive
    # Held back until it is needed: with package lists at hand the first attempt is enough.
    get() { apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 $missing >"$log" 2>&1; }
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    if ! get; then
      apt-get update -q >"$log" 2>&1 || true
      get || { sed 's#//[^/ ]*@#//#' "$log" | tail -n 15 >&2; end 'apt-get could not install them'; }
    fi
  fi
  if [ ! -e /dev/fuse ]; then
    modprobe fuse 2>/dev/null || true
    if [ ! -e /dev/fuse ] && grep -qw fuse /proc/filesystems; then
      say 'makes /dev/fuse: the kernel knows FUSE, but nobody made its device'
      mknod -m 0666 /dev/fuse c 10 229 || true
    fi
    [ -e /dev/fuse ] || end 'this machine has no FUSE, so nothing can be mounted'
  fi
  if [ "$(stat -c %a /dev/fuse)" != 666 ]; then
    say 'chmod 0666 /dev/fuse: what udev does elsewhere; without it ordinary users cannot mount'
    chmod 0666 /dev/fuse
  fi
  if [ ! -e /etc/mtab ]; then
    say 'makes the link /etc/mtab: some containers lack it, and fusermount3 cannot unmount without'
    ln -sf ../proc/self/mounts /etc/mtab
  fi
fi

# --- npm packages ---------------------------------------------------------------------------------
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say 'npm ci: the packages of package-lock.json'
  npm ci --no-audit --no-fund --loglevel=error || end 'npm ci failed'
  touch node_modules/.package-lock.json
fi

# --- the build --------------------------------------------------------------------------------------
stale() {
  [ ! -e dist/.built ] ||
    [ -n "$(find lib bin test bench package.json tsconfig.json package-lock.json -newer dist/.built -type f | head -n 1)" ]
}
if stale; then
  say 'builds dist/'
  mkdir -p dist
  # Older than every source that changes while the compiler runs.
  : >dist/.building
  node_modules/.bin/tsc -p . || end 'the build failed'
  node dist/test/bundle.js || end 'the program could not be put into one file'
  node dist/bin/svsfs.js help --man dist/man --markdown dist/docs || end 'the manual could not be made'
  mv dist/.building dist/.built
fi

# --- sshd ---------------------------------------------------------------------------------------------
# Unpacked and not installed: an installed one would listen on this machine, and start with it. What it
# needs of the machine the tests give it in a namespace of its own (test/deploy/sshd.ts).
sshd_of_debian() {
  unpacked=$(mktemp -d) && chmod 755 "$unpacked" || return 1
  (
    cd "$unpacked" && apt-get download -q openssh-server openssh-sftp-server libwrap0 &&
      for each in *.deb; do dpkg-deb -x "$each" tree || exit 1; done
  ) >/dev/null 2>&1 && mkdir -p .build && rm -rf .build/sshd && mkdir .build/sshd &&
    cp -r "$unpacked/tree/usr" .build/sshd/ && { [ ! -d "$unpacked/tree/lib" ] || cp -r "$unpacked/tree/lib" .build/sshd/; }
  unpacked_well=$?
  rm -rf "$unpacked"
  return "$unpacked_well"
}
case $what in test | bench)
  if [ ! -x /usr/sbin/sshd ] && [ ! -x .build/sshd/usr/sbin/sshd ] && command -v apt-get >/dev/null; then
    say 'unpacks sshd into .build/sshd: tests deploy to hosts on loopback ports'
    sshd_of_debian || say 'it could not be fetched; what needs it is left out'
  fi
  ;;
esac

# --- what the benchmark compiles ----------------------------------------------------------------------
[ "$what" = bench ] || exit 0
built=.build/bench
mkdir -p "$built"
if [ ! -e "$built/load" ] || [ bench/load.c -nt "$built/load" ]; then
  say "compiles $built/load, which makes the calls that are timed"
  gcc -O2 -Wall -pthread -o "$built/load" bench/load.c || end 'the benchmark needs gcc for its loader'
fi

# From Debian's source package, verified by apt, where this machine has its packages from; lists of
# its own leave the machine's alone.
passthrough_hp() {
  fetched=$(mktemp -d) && chmod 755 "$fetched" && mkdir "$fetched/lists" || return 1
  . /etc/os-release
  packages_from=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
    'Label: Debian' "Codename: $VERSION_CODENAME" | head -n 1)
  [ -n "$packages_from" ] || { rm -rf "$fetched"; return 1; }
  echo "deb-src $packages_from $VERSION_CODENAME main" >"$fetched/sources.list"
  (
    cd "$fetched"
    from="-o Dir::Etc::sourcelist=$fetched/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$fetched/lists"
    apt-get -q $from update && apt-get -q $from source --download-only fuse3 && tar -xf fuse3_*.orig.tar.xz
  ) >"$fetched/log" 2>&1 &&
    g++ -O2 -std=c++17 -o "$built/passthrough_hp" "$fetched"/fuse-3*/example/passthrough_hp.cc \
      $(pkg-config --cflags --libs fuse3) -pthread >>"$fetched/log" 2>&1
  compiled=$?
  [ "$compiled" = 0 ] || tail -n 3 "$fetched/log" >&2
  rm -rf "$fetched"
  return "$compiled"
}
if [ "$uid" = 0 ] && [ ! -e "$built/passthrough_hp" ]; then
  say "compiles $built/passthrough_hp from libfuse's examples"
  passthrough_hp || say 'it could not be fetched or compiled; the benchmark leaves it out'
fi

if [ ! -e "$built/npm-cache" ] || [ package-lock.json -nt "$built/npm-cache" ]; then
  say "fills $built/npm-cache, so that the row npm ci needs no network"
  rm -rf "$built/npm-cache" && place=$(mktemp -d) && cp package.json package-lock.json "$place" &&
    (cd "$place" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error --cache "$OLDPWD/$built/npm-cache") \
      >/dev/null && touch "$built/npm-cache" || { rm -rf "$built/npm-cache"; say 'npm could not; the benchmark leaves that row out'; }
  rm -rf "$place"
fi

# As a layer, so that nothing is installed on the machine.
if [ ! -e "$built/firefox" ] && command -v apt-get >/dev/null; then
  say "fetches Firefox into $built/firefox"
  store=$(mktemp -d)
  if node dist/bin/svsfs.js layer create firefox --recipe firefox --store "$store/store" >/dev/null; then
    mv "$store"/store/layers/*/ro/1 "$built/firefox"
  else
    say 'it could not; the benchmark leaves that row out'
  fi
  rm -rf "$store"
fi

# Installing Debian packages by name, for the scripts beside this file: to be sourced. A script names itself in `script`, and
# the folder of its logs in `logs`.

say() { printf '%s\n' "$*"; }
give_up() {
    printf '%s: %s\n' "$script" "$*" >&2
    exit 2
}

apt_setting='' # a file that is there while packages are installed

# How to run a command as root; `sudo` may ask for the password only where somebody can type it.
as_root=()
if ((EUID != 0)); then
    as_root=(sudo)
    if [[ ! -t 1 ]]; then as_root+=(--non-interactive); fi
fi

# Installs Debian packages by name.
apt_install() {
    say "installing $*"
    {
        "${as_root[@]}" apt-get update --quiet
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends "$@"
    } >"$logs/apt.log" 2>&1 || {
        tail -n 20 "$logs/apt.log" >&2
        give_up "could not install $*: as root, run apt-get install $*"
    }
}

# Ends with a sentence where packages cannot be installed.
apt_works_for() {
    command -v apt-get >/dev/null || give_up "missing: $*. Install what your system calls it, and run again"
    ((EUID == 0)) || command -v sudo >/dev/null || give_up "missing: $*. As root, run apt-get install $*"
}

remove_apt_setting() {
    if [[ -n $apt_setting ]]; then "${as_root[@]}" rm -f "$apt_setting"; fi
    apt_setting=''
}

# Functions that install Debian packages, to be sourced by the other scripts in this folder. A script sets
# `script` to its own name, and `logs` to the folder for its logs.

say() { printf '%s\n' "$*"; }
give_up() {
    printf '%s: %s\n' "$script" "$*" >&2
    exit 2
}

apt_setting='' # a file that exists only while packages are installed

# The prefix to run a command as root. `sudo` may ask for a password only on a terminal.
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
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install --quiet --yes --no-install-recommends "$@"
    } >"$logs/apt.log" 2>&1 || {
        tail -n 20 "$logs/apt.log" >&2
        give_up "could not install $*. Run as root: apt-get install $*"
    }
}

# Ends the script with an error message if packages cannot be installed.
apt_works_for() {
    command -v apt-get >/dev/null ||
        give_up "missing: $*. Install your system's packages for them, and run this again"
    ((EUID == 0)) || command -v sudo >/dev/null || give_up "missing: $*. Run as root: apt-get install $*"
}

remove_apt_setting() {
    if [[ -n $apt_setting ]]; then "${as_root[@]}" rm -f "$apt_setting"; fi
    apt_setting=''
}

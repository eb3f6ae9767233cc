#!/bin/sh
# Installs the Autobahn WebSocket test suite into the folder $1, and nothing outside of it.
#
# The suite needs Python 2.7, which Debian has last had in its release 11: apt-get fetches those packages from the
# mirror that this machine uses anyway, and they are unpacked, not installed. Exit status 77: they can't be had.
set -eu
dir=$1
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

unavailable() {
    echo "autobahn: $1" >&2
    exit 77
}

# Debian 11 instead of the release of this machine, without the security archive, which has ended.
sources=/etc/apt/sources.list.d/debian.sources
[ -f "$sources" ] || unavailable "there is no $sources to learn the mirror from"
rm -rf "$dir/apt" "$dir/root" "$dir/site"
mkdir -p "$dir/apt/parts" "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/debs" "$dir/wheels" \
    "$dir/root" "$dir/site"
python3 - "$sources" "$dir/apt/parts/bullseye.sources" <<'EOF' || unavailable "the sources could not be read"
import re, sys
stanzas = open(sys.argv[1]).read().split("\n\n")
kept = [re.sub(r"(?m)^Suites:.*$", "Suites: bullseye", text) for text in stanzas if "security" not in text]
open(sys.argv[2], "w").write("\n\n".join(kept) + "\n")
EOF

apt() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$dir/apt/parts" \
        -o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" -o APT::Sandbox::User=root "$@"
}
apt update || unavailable "the mirror has no Debian 11 any more"
(cd "$dir/debs" && apt download python2.7-minimal libpython2.7-minimal libpython2.7-stdlib libssl1.1 libffi7) ||
    unavailable "the packages of Python 2.7 could not be fetched"
for package in "$dir"/debs/*.deb; do
    dpkg-deb --extract "$package" "$dir/root"
done

cat >"$dir/python2" <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$dir/root/usr/lib/$(uname -m)-linux-gnu PYTHONHOME=$dir/root/usr PYTHONPATH=$dir/site
PYTHONWARNINGS=ignore
export LD_LIBRARY_PATH PYTHONHOME PYTHONPATH PYTHONWARNINGS
exec $dir/root/usr/bin/python2.7 "\$@"
EOF
cat >"$dir/run.py" <<'EOF'
import sys
sys.argv[0] = "wstest"
from autobahntestsuite.wstest import run
run()
EOF
cat >"$dir/wstest" <<EOF
#!/bin/sh
exec $dir/python2 $dir/run.py "\$@"
EOF
chmod +x "$dir/python2" "$dir/wstest"

# The last pip that runs on Python 2.7 installs the rest, each in the last version that does.
python3 -m pip download --quiet --no-deps --python-version 2.7 --only-binary=:all: --dest "$dir/wheels" pip==20.3.4 ||
    unavailable "pip for Python 2.7 could not be fetched"
pip() {
    "$dir/python2" "$dir/wheels/pip-20.3.4-py2.py3-none-any.whl/pip" install --quiet --no-warn-script-location \
        --no-build-isolation --target "$dir/site" "$@" 2>"$dir/pip.log" || {
        cat "$dir/pip.log" >&2
        unavailable "packages for Python 2.7 could not be fetched"
    }
}
pip setuptools==44.0.0 wheel==0.37.1
pip --no-deps autobahn==0.10.9
# Autobahn brings a stub of Twisted that would hide Twisted itself.
rm -rf "$dir/site/twisted"
pip --no-deps autobahntestsuite==25.10.1 unittest2==1.1.0 traceback2==1.4.0 linecache2==1.0.0 argparse==1.4.0
pip --upgrade txaio==2.1.0 incremental==16.10.1 pyOpenSSL==19.1.0 cryptography==3.3.2 zope.interface==4.6.0 \
    jinja2==2.11.3 markupsafe==1.1.1 Werkzeug==1.0.1 klein==17.10.0 service-identity==18.1.0 six==1.16.0 \
    Twisted==19.10.0
touch "$dir/site/zope/__init__.py"
"$dir/wstest" --autobahnversion >/dev/null || unavailable "the suite does not start"
touch "$dir/ready"

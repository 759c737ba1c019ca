#!/bin/sh
# Says in one line what is missing to build Kelian, and exits with 1; says nothing when all is there.
# Chinese and English, because whoever runs `make run` first may read either.
set -u

python="${PYTHON:-python3}"

fail() {
    echo "课联 | Kelian: $1 | $2" >&2
    exit 1
}

command -v "$python" > /dev/null \
    || fail "缺少 Python 3.11 以上版本：apt install python3 python3-venv" "Python 3.11 or later is missing: apt install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "Python 太旧（需要 3.11 以上）；可用 make PYTHON=python3.11 指定" "Python is too old (3.11 or later is needed); choose one with make PYTHON=python3.11"
"$python" -c 'import ensurepip, venv' 2> /dev/null \
    || fail "Python 缺少 venv：apt install python3-venv" "Python lacks venv: apt install python3-venv"
command -v cargo > /dev/null \
    || fail "缺少 Rust（cargo）：见 rustup.rs，装好后重开终端" "Rust (cargo) is missing: install it from rustup.rs and open a new terminal"
command -v cc > /dev/null \
    || fail "缺少 C 编译器：apt install build-essential" "a C compiler is missing: apt install build-essential"
{ command -v npm && command -v node; } > /dev/null \
    || fail "缺少 npm（Node 20.19 以上）：见 nodejs.org" "npm is missing: install Node 20.19 or later from nodejs.org"
node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' \
    || fail "Node 太旧（需要 20.19 以上）：见 nodejs.org" "Node is too old (20.19 or later is needed): see nodejs.org"

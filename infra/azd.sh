#!/usr/bin/env bash
# What the hooks of azure.yaml do: a stage of infra/deploy.sh in azd's subscription and resource group, or write the
# package that azd zips: infra/azd.sh package|STAGE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=.venv/bin/python
if [[ ! -x $python ]]; then
  echo "There is no .venv yet: python3 dev.py up --help" >&2
  exit 2
fi
case ${1:-} in
  package) "$python" -m infra.package --unpacked .local/package ;;
  forward | budget | database | rules | check)
    az account set --subscription "$AZURE_SUBSCRIPTION_ID"
    infra/deploy.sh dev "$1"
    ;;
  *) sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac

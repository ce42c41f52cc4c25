#!/bin/sh
# In the image of MinIO's client: the two buckets, the account of workers and receiver, and the notification.
# Passwords go by environment and stdin: everybody on the machine can read the arguments of a command.
set -eu
secrets=${OLDPHOTO_SECRETS:-/run/secrets}
MC_HOST_store="http://root-of-the-store:$(cat "$secrets/store-root-password")@store:9000"
export MC_HOST_store
mc mb --ignore-existing store/archive store/access
key=$(sed -n 's/^aws_access_key_id *= *//p' "$secrets/store-credentials")
sed -n 's/^aws_secret_access_key *= *//p' "$secrets/store-credentials" | mc admin user add store "$key"
mc admin policy create store oldphoto-worker /worker-policy.json
mc admin policy attach store oldphoto-worker --user "$key" || true # it is attached already
mc event add --ignore-existing --event put --prefix scans/ store/archive arn:minio:sqs::OLDPHOTO:webhook

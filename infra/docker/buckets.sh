#!/bin/sh
# In the image of MinIO's client: the two buckets, the account of workers and receiver, and the notification.
set -eu
mc alias set store http://store:9000 root-of-the-store "$(cat /run/secrets/store-root-password)" >/dev/null
mc mb --ignore-existing store/archive store/access
key=$(sed -n 's/^aws_access_key_id *= *//p' /run/secrets/store-credentials)
secret=$(sed -n 's/^aws_secret_access_key *= *//p' /run/secrets/store-credentials)
mc admin user add store "$key" "$secret"
mc admin policy create store oldphoto-worker /worker-policy.json
mc admin policy attach store oldphoto-worker --user "$key" || true # it is attached already
mc event add --ignore-existing --event put --prefix scans/ store/archive arn:minio:sqs::OLDPHOTO:webhook

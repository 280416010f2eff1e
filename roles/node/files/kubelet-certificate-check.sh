#!/bin/sh
# Written by plainkube.cluster for kubelet.service: removes the client certificate that the kubelet renews by itself, in the directory $2, if no CA
# in the file $1 has signed it. With a certificate of a retired CA, the kubelet could not even request a new one; it starts again with the one that
# plainkube.cluster installed.
set -eu
cd "$2" 2>/dev/null || exit 0
openssl verify -partial_chain -CAfile "$1" kubelet-client-current.pem >/dev/null 2>&1 || rm -f kubelet-client-current.pem

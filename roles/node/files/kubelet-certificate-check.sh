#!/bin/sh
# Written by plainkube.cluster for kubelet.service: removes the client certificate that the kubelet renews by itself, in the directory $2, if no CA
# in the file $1 has signed it. With one of a CA that signs no more, the kubelet could not even ask for another; it begins anew with the one that
# plainkube.cluster installed.
set -eu
cd "$2" 2>/dev/null || exit 0
openssl verify -partial_chain -CAfile "$1" kubelet-client-current.pem >/dev/null 2>&1 || rm -f kubelet-client-current.pem

#!/usr/bin/env bash
# Creates the cluster of site.yml with a plain script, without configuration management: as fast as these steps can be. For benchmarks/ only:
# it checks nothing, cannot be run twice, and generates the keys on the control node.
#   floor.sh DIRECTORY CONTROL=ADDRESS NODE=ADDRESS ...
# DIRECTORY has the files of each host (HOST.tar: units, configurations, kubeconfigs) and addons.yaml.
# From the environment: SSH (the command, with its options), MIRROR, KUBERNETES, ETCD, FLANNEL, CRI_DOCKERD (versions), IMAGES,
# SERVICE_ADDRESS, DOMAIN, POD_NETWORK, HELLO.
set -eu
cd "$1"
shift
control=${1%=*} control_address=${1#*=}
hosts=("$@") nodes=("${@:2}")
started=$(date +%s%N)
lap() { printf '%6d ms  %s\n' $((($(date +%s%N) - started) / 1000000)) "$1"; }
on() { $SSH "ops@$1" sudo bash -eu -s; }
# The pids of background jobs, each of which must succeed.
finish() { for job in "$@"; do wait "$job"; done; }

# --- Certificates: three CAs, and what each host needs

printf '[req]\ndistinguished_name = name\n[name]\n' > openssl.cnf
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -config openssl.cnf)

authority() { # FILE NAME
  mkdir -p "$(dirname "authorities/$1")"
  openssl req -x509 -new "${key[@]}" -days 3650 -subj "/CN=$2" -keyout "authorities/$1.key" -out "authorities/$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,digitalSignature,keyCertSign,cRLSign \
    -addext subjectKeyIdentifier=hash 2>/dev/null
}

certificate() { # HOST FILE AUTHORITY SUBJECT USAGES [NAMES]
  local file="$1/etc/kubernetes/pki/$2"
  openssl req -x509 -new "${key[@]}" -days 365 -subj "$4" -CA "authorities/$3.crt" -CAkey "authorities/$3.key" \
    -keyout "$file.key" -out "$file.crt" -addext basicConstraints=critical,CA:FALSE \
    -addext keyUsage=critical,digitalSignature -addext "extendedKeyUsage=$5" -addext subjectKeyIdentifier=hash \
    -addext authorityKeyIdentifier=keyid ${6:+-addext "subjectAltName=$6"} 2>/dev/null
}

host_certificates() { # HOST ADDRESS
  local pki="$1/etc/kubernetes/pki" here="DNS:$1,IP:$2" client=clientAuth server=serverAuth
  mkdir -p "$pki/etcd"
  cp authorities/ca.crt "$pki/"
  # The CA that signs: the kubelet does not keep certificates of other CAs.
  cp authorities/ca.crt "$pki/ca-signer.crt"
  cp authorities/etcd/ca.crt "$pki/etcd/"
  certificate "$1" etcd/flannel etcd/ca /CN=flanneld $client
  certificate "$1" kube-proxy ca /CN=system:kube-proxy $client
  if [ "$1" = "$control" ]; then
    local loopback="DNS:localhost,IP:127.0.0.1"
    cp authorities/ca.key authorities/front-proxy-ca.crt authorities/sa.key authorities/sa.pub authorities/encryption.yaml "$pki/"
    certificate "$1" etcd/server etcd/ca "/CN=$1" $server,$client "$here,$loopback"
    certificate "$1" etcd/peer etcd/ca /CN=etcd-peer $server,$client "$here,$loopback"
    certificate "$1" etcd/root etcd/ca /CN=root $client
    certificate "$1" apiserver ca /CN=kube-apiserver $server "$here,$loopback,IP:$SERVICE_ADDRESS,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.$DOMAIN"
    certificate "$1" apiserver-kubelet-client ca /CN=kube-apiserver-kubelet-client $client
    certificate "$1" apiserver-etcd-client etcd/ca /CN=kube-apiserver $client
    certificate "$1" front-proxy-client front-proxy-ca /CN=front-proxy-client $client
    certificate "$1" controller-manager ca /CN=system:kube-controller-manager $client
    certificate "$1" scheduler ca /CN=system:kube-scheduler $client
    certificate "$1" admin ca /O=system:masters/CN=kubernetes-admin $client
  else
    certificate "$1" kubelet-client ca "/O=system:nodes/CN=system:node:$1" $client
    certificate "$1" kubelet-server ca "/O=system:nodes/CN=system:node:$1" $server "$here"
  fi
  tar -C "$1" -cf "$1-pki.tar" --owner=0 --group=0 .
}

certificates() {
  authority ca kubernetes
  authority etcd/ca etcd
  authority front-proxy-ca front-proxy
  openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out authorities/sa.key
  openssl ec -in authorities/sa.key -pubout -out authorities/sa.pub 2>/dev/null
  cat > authorities/encryption.yaml << FILE
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      - secretbox: {keys: [{name: key-1, secret: $(openssl rand -base64 32)}]}
FILE
  local jobs=()
  for host in "${hosts[@]}"; do
    host_certificates "${host%=*}" "${host#*=}" &
    jobs+=($!)
  done
  finish "${jobs[@]}"
}

# --- Installation on each host: users, files, binaries with their checksums

install_on() { # HOST ADDRESS
  $SSH "ops@$2" sudo tar -xC / --no-same-owner < "$1.tar"
  {
    echo "mirror=$MIRROR kubernetes=$KUBERNETES etcd=$ETCD flannel=$FLANNEL cri_dockerd=$CRI_DOCKERD images='$IMAGES'"
    echo "kind=$([ "$1" = "$control" ] && echo control || echo node)"
    cat << 'REMOTE'
mkdir -p /opt/floor && cd /opt/floor
fetch() { # URL SUM-URL: the sum stands in the line that names the file, or alone, or after the name in GitHub's document
  file=${1##*/}
  curl -sSfo "$file" "$mirror/$1"
  sum=$(curl -sSf "$mirror/$2" | grep -A 1 -e "$file" -e '^[0-9a-f]*$' | grep -oE '[0-9a-f]{64}' | head -n 1)
  echo "$sum  $file" | sha256sum --quiet -c
}
kubernetes() { # NAME...
  for name in "$@"; do
    base=dl.k8s.io/v$kubernetes/bin/linux/amd64
    fetch $base/$name $base/$name.sha256 && install -m 0755 $name /usr/local/bin/ && rm $name
  done
}
flannel() {
  fetch github.com/flannel-io/flannel/releases/download/v$flannel/flannel-v$flannel-linux-amd64.tar.gz api.github.com/repos/flannel-io/flannel/releases/tags/v$flannel
  tar -xzC /usr/local/bin --no-same-owner -f flannel-v$flannel-linux-amd64.tar.gz flanneld
}
if [ $kind = control ]; then
  systemd-sysusers 2> /dev/null
  fetch github.com/etcd-io/etcd/releases/download/v$etcd/etcd-v$etcd-linux-amd64.tar.gz github.com/etcd-io/etcd/releases/download/v$etcd/SHA256SUMS
  tar -xzC /usr/local/bin --no-same-owner --strip-components=1 -f etcd-v$etcd-linux-amd64.tar.gz
  kubernetes kube-apiserver kube-controller-manager kube-scheduler kubectl kube-proxy & first=$!
  flannel & second=$!
  wait $first
  wait $second
else
  flannel
  fetch github.com/Mirantis/cri-dockerd/releases/download/v$cri_dockerd/cri-dockerd-$cri_dockerd.amd64.tgz api.github.com/repos/Mirantis/cri-dockerd/releases/tags/v$cri_dockerd
  tar -xzC /usr/local/bin --no-same-owner --strip-components=1 -f cri-dockerd-$cri_dockerd.amd64.tgz
  kubernetes kubelet kube-proxy & first=$!
  for image in $images; do fetch images/$image images/SHA256SUMS; done
  wait $first
fi
systemctl daemon-reload
REMOTE
  } | on "$2"
}

certificates & certificates=$!
jobs=()
for host in "${hosts[@]}"; do
  install_on "${host%=*}" "${host#*=}" &
  jobs+=($!)
done
finish "$certificates" "${jobs[@]}"
lap "files, certificates, binaries and images"
jobs=()
for host in "${hosts[@]}"; do
  $SSH "ops@${host#*=}" sudo tar -xC / --no-same-owner < "${host%=*}-pki.tar" &
  jobs+=($!)
done
finish "${jobs[@]}"

# --- etcd, its users, flannel's network

on "$control_address" << REMOTE
# Its unit does not bootstrap a cluster by itself.
install -d -o etcd -g etcd -m 0700 /var/lib/etcd
printf 'ETCD_INITIAL_CLUSTER=$control=https://$control_address:2380\nETCD_INITIAL_CLUSTER_STATE=new\n' > /etc/kubernetes/etcd-first-start
systemctl enable --quiet --now etcd
export ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 ETCDCTL_CACERT=/etc/kubernetes/pki/etcd/ca.crt
export ETCDCTL_CERT=/etc/kubernetes/pki/etcd/root.crt ETCDCTL_KEY=/etc/kubernetes/pki/etcd/root.key
{
  etcdctl put /coreos.com/network/config '{"Network": "$POD_NETWORK", "SubnetLen": 24, "Backend": {"Type": "vxlan"}}'
  etcdctl role add flannel
  etcdctl role grant-permission flannel --prefix=true readwrite /coreos.com/network/
  etcdctl role add apiserver
  etcdctl role grant-permission apiserver --prefix=true readwrite /registry/
  etcdctl role grant-permission apiserver readwrite compact_rev_key
  etcdctl user add flanneld --no-password
  etcdctl user grant-role flanneld flannel
  etcdctl user add kube-apiserver --no-password
  etcdctl user grant-role kube-apiserver apiserver
  etcdctl user add root --no-password
  etcdctl user grant-role root root
  etcdctl auth enable
} > /dev/null
REMOTE
lap "etcd, its users, flannel's network"

# --- The control plane and the nodes, in parallel

run_node() { # ADDRESS
  on "$1" << 'REMOTE'
# The lock of iptables, which flanneld and kube-proxy share with the host.
touch /run/xtables.lock
systemctl enable --quiet --now flanneld
systemctl enable --quiet --now docker
for image in /opt/floor/*.tar; do docker load --quiet --input $image > /dev/null & done
systemctl enable --quiet --now cri-dockerd
systemctl enable --quiet --now --no-block kubelet kube-proxy
wait
REMOTE
}

jobs=()
for node in "${nodes[@]}"; do
  run_node "${node#*=}" &
  jobs+=($!)
done
$SSH "ops@$control_address" 'cat > addons.yaml' < addons.yaml
on "$control_address" << 'REMOTE'
touch /run/xtables.lock
systemctl enable --quiet --now --no-block flanneld kube-proxy
systemctl enable --quiet --now kube-apiserver
export KUBECONFIG=/etc/kubernetes/admin.conf
until kubectl get --raw /readyz > /dev/null 2>&1; do sleep 0.2; done
systemctl enable --quiet --now kube-controller-manager kube-scheduler
kubectl apply --server-side --filename /home/ops/addons.yaml > /dev/null
REMOTE
lap "control plane and addons"
finish "${jobs[@]}"
lap "flannel, Docker, images, kubelet and kube-proxy"

# --- The first pod

on "$control_address" << REMOTE
export KUBECONFIG=/etc/kubernetes/admin.conf
until kubectl get serviceaccount default > /dev/null 2>&1; do sleep 0.2; done
kubectl run bench --image=$HELLO -- pause > /dev/null
kubectl wait --for='jsonpath={.status.phase}=Running' --timeout=60s pod/bench > /dev/null
REMOTE
lap "the first pod Running"

#!/usr/bin/env bash
# Creates a cluster with kubeadm on the same hosts, with our binaries in images with the names that it expects. For benchmarks/ only.
#   kubeadm.sh prepare|measure DIRECTORY CONTROL=ADDRESS NODE=ADDRESS ...
# prepare installs everything that `kubeadm init` requires: Docker Engine, cri-dockerd, kubelet, and all images loaded.
# DIRECTORY has NODE.tar with cri-dockerd's unit and Docker's settings, and kubelet.json with the hosts' kubelet settings.
# From the environment: SSH, MIRROR, KUBERNETES, ETCD, CRI_DOCKERD, COREDNS, IMAGES, POD_NETWORK, SERVICE_NETWORK, HELLO.
set -eu
what=$1
cd "$2"
shift 2
control_address=${1#*=}
hosts=("$@") nodes=("${@:2}")
token=abcdef.0123456789abcdef
on() { $SSH "ops@$1" sudo bash -eu -s; }
finish() { for job in "$@"; do wait "$job"; done; }

prepare() { # HOST ADDRESS
  $SSH "ops@$2" sudo tar -xC / --no-same-owner etc/docker/daemon.json etc/systemd/system/cri-dockerd.service \
    etc/systemd/system/containerd.service.d < "${nodes[0]%=*}.tar"
  {
    echo "mirror=$MIRROR kubernetes=$KUBERNETES etcd=$ETCD cri_dockerd=$CRI_DOCKERD coredns=$COREDNS images='$IMAGES'"
    cat << 'REMOTE'
mkdir -p /opt/kubeadm /etc/systemd/system/docker.service.d && cd /opt/kubeadm
get() { curl -sSfo "${1##*/}" "$mirror/$1"; }
for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubeadm kubelet kubectl; do
  get dl.k8s.io/v$kubernetes/bin/linux/amd64/$name && chmod 0755 $name
done
mv kubeadm kubelet kubectl /usr/local/bin/
get github.com/Mirantis/cri-dockerd/releases/download/v$cri_dockerd/cri-dockerd-$cri_dockerd.amd64.tgz
tar -xzC /usr/local/bin --no-same-owner --strip-components=1 -f cri-dockerd-$cri_dockerd.amd64.tgz
get github.com/etcd-io/etcd/releases/download/v$etcd/etcd-v$etcd-linux-amd64.tar.gz
tar -xz --no-same-owner --strip-components=1 -f etcd-v$etcd-linux-amd64.tar.gz
for image in $images; do get images/$image; done

# Docker on its own docker0: kubeadm brings no network.
printf '[Service]\nOOMScoreAdjust=0\n' > /etc/systemd/system/docker.service.d/kubeadm.conf
cat > /etc/systemd/system/kubelet.service << 'UNIT'
[Unit]
After=cri-dockerd.service
StartLimitIntervalSec=0
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
UNIT
sysctl -qw net.ipv4.ip_forward=1
systemctl daemon-reload
systemctl enable --quiet --now docker cri-dockerd
systemctl enable --quiet kubelet

for image in $images; do docker load --quiet --input $image > /dev/null; done
import() { # IMAGE PROGRAM... and the libraries that they load
  rm -rf root
  mkdir -p root/usr/local/bin
  cp -p "${@:2}" root/usr/local/bin/
  ldd "${@:2}" 2> /dev/null | grep -oE '/[^ :]+\.so[^ :]*' | sort -u | xargs -r cp -L --parents -t root
  tar -C root -c . | docker import --change 'ENV PATH=/usr/local/bin' - "$1" > /dev/null
}
wanted() { kubeadm config images list --kubernetes-version v$kubernetes | grep "$1:"; }
for name in kube-apiserver kube-controller-manager kube-scheduler; do import $(wanted $name) $name; done
import $(wanted kube-proxy) kube-proxy $(command -v nft)
import $(wanted etcd) etcd etcdctl
docker tag registry.k8s.io/coredns/coredns:v$coredns $(wanted coredns)
REMOTE
  } | on "$2"
}

measure() {
  {
    printf '%s\n' "apiVersion: kubeadm.k8s.io/v1beta4" "kind: InitConfiguration" "bootstrapTokens: [{token: $token}]" \
      "localAPIEndpoint: {advertiseAddress: $control_address}" "nodeRegistration: {criSocket: unix:///run/cri-dockerd.sock}" --- \
      "apiVersion: kubeadm.k8s.io/v1beta4" "kind: ClusterConfiguration" "kubernetesVersion: v$KUBERNETES" \
      "networking: {podSubnet: $POD_NETWORK, serviceSubnet: $SERVICE_NETWORK}" --- \
      "apiVersion: kubeproxy.config.k8s.io/v1alpha1" "kind: KubeProxyConfiguration" "mode: nftables" "conntrack: {maxPerCore: 0}" ---
    cat kubelet.json
  } | $SSH "ops@$control_address" 'cat > kubeadm.yaml'
  on "$control_address" <<< 'kubeadm init --config /home/ops/kubeadm.yaml --ignore-preflight-errors=all > /var/log/kubeadm.log 2>&1 || { tail -n 40 /var/log/kubeadm.log; exit 1; }'
  local jobs=()
  for node in "${nodes[@]}"; do
    on "${node#*=}" <<< "kubeadm join $control_address:6443 --token $token --discovery-token-unsafe-skip-ca-verification \
      --cri-socket unix:///run/cri-dockerd.sock --ignore-preflight-errors=all > /var/log/kubeadm.log 2>&1 || { tail -n 40 /var/log/kubeadm.log; exit 1; }" &
    jobs+=($!)
  done
  finish "${jobs[@]}"
  on "$control_address" << REMOTE
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl wait --for=condition=Ready --timeout=60s nodes --all > /dev/null
until kubectl get serviceaccount default > /dev/null 2>&1; do sleep 0.2; done
kubectl run bench --image=$HELLO -- pause > /dev/null
kubectl wait --for='jsonpath={.status.phase}=Running' --timeout=60s pod/bench > /dev/null
REMOTE
}

if [ "$what" = prepare ]; then
  jobs=()
  for host in "${hosts[@]}"; do
    prepare "${host%=*}" "${host#*=}" &
    jobs+=($!)
  done
  finish "${jobs[@]}"
else
  measure
fi

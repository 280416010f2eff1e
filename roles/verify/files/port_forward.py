"""Forward a port to a pod, request the pod's host name through it, and print the response. Arguments: a kubectl command."""

import subprocess
import sys
import urllib.request

with subprocess.Popen(
    [*sys.argv[1:], "port-forward", "pod/hello", ":8080"], stdout=subprocess.PIPE, text=True
) as forward:
    try:
        assert forward.stdout
        # Forwarding from 127.0.0.1:PORT -> 8080
        address = forward.stdout.readline().split()[2]
        with urllib.request.urlopen(f"http://{address}/hostname", timeout=10) as response:
            print(response.read().decode())
    except IndexError:
        sys.exit(f"kubectl port-forward ended with code {forward.wait()} and forwarded nothing")
    finally:
        forward.terminate()

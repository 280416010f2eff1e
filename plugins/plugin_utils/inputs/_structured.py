# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Structured authentication and authorization: the API server's configuration, and problems with the operator's settings for it.

Source: apiserver/pkg/apis/apiserver/v1 of Kubernetes, types.go and validation.
"""

from __future__ import annotations

import re
import typing as t

import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubeconfig
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _yaml

JWT = "control_plane_authentication_jwt"
WEBHOOKS = "control_plane_authorization_webhooks"
# Where systemd puts the API server's credentials (LoadCredential=); a configuration file cannot contain %d.
_CREDENTIALS = "/run/credentials/kube-apiserver.service"

Mapping = t.Mapping[str, t.Any]


# Webhooks


def _authorizer(webhook: Mapping) -> dict[str, t.Any]:
    settings = {
        "timeout": "3s",
        "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1",
        **webhook["settings"],
    }
    connection = {"type": "KubeConfigFile", "kubeConfigFile": f"{_CREDENTIALS}/authorization-{webhook['name']}.conf"}
    return {"type": "Webhook", "name": webhook["name"], "webhook": {**settings, "connectionInfo": connection}}


def authorization(webhooks: t.Sequence[Mapping]) -> dict[str, t.Any]:
    """The AuthorizationConfiguration. Node comes first, so that no webhook can deny a kubelet its own requests."""
    before = [_authorizer(one) for one in webhooks if one.get("before_rbac")]
    after = [_authorizer(one) for one in webhooks if not one.get("before_rbac")]
    node, rbac = ({"type": kind, "name": kind.lower()} for kind in ("Node", "RBAC"))
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": [node, *before, rbac, *after],
    }


def authorization_files(webhooks: t.Sequence[Mapping]) -> list[dict[str, t.Any]]:
    """The files that the API server needs for these webhooks; none without webhooks."""
    if not webhooks:
        return []
    config = {
        "path": f"{_places.CONFIGURATION}/authorization.yaml",
        "content": _yaml.kubernetes_yaml(authorization(webhooks), False),
    }
    return [config] + [
        {
            "path": f"{_places.CONFIGURATION}/authorization-{one['name']}.conf",
            "secret_content": str(one["kubeconfig"]),
            "mode": "0600",
        }
        for one in webhooks
    ]


def _repeated(values: t.Iterable[t.Any]) -> list[t.Any]:
    seen: list[t.Any] = []
    again: list[t.Any] = []
    for value in values:
        (again if value in seen else seen).append(value)
    return [value for index, value in enumerate(again) if value not in again[:index]]


def _kubeconfig_problem(text: t.Any) -> str:
    """The problem with a kubeconfig. Its content is not shown."""
    try:
        found: t.Any = yaml.safe_load(text) if isinstance(text, str) else None
        _kubeconfig.parse(found)
    except (ValueError, yaml.YAMLError):
        return "is not a kubeconfig: set it to the whole text of one, with kind: Config"
    missing = [key for key in ("clusters", "users", "contexts", "current-context") if not found.get(key)]
    return f"has no {' and no '.join(missing)}: set it to a kubeconfig that kubectl could use" if missing else ""


def _webhook_problems(webhook: Mapping) -> t.Iterator[str]:
    name = webhook.get("name")
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", str(name)) or name in ("node", "rbac"):
        yield f"{WEBHOOKS} has the name {name!r}: use lowercase letters, digits and dashes, and neither node nor rbac."
        return
    settings = webhook.get("settings") or {}
    if settings.get("failurePolicy") not in ("NoOpinion", "Deny"):
        yield (
            f"{WEBHOOKS} has failurePolicy {settings.get('failurePolicy')!r} in the settings of {name}: set what applies while it does not respond, "
            "NoOpinion (the other authorizers decide) or Deny."
        )
    if "connectionInfo" in settings:
        yield f"{WEBHOOKS} has connectionInfo in the settings of {name}: remove it, because kubeconfig has the webhook's URL and credentials."
    problem = _kubeconfig_problem(webhook.get("kubeconfig"))
    if problem:
        yield f"The kubeconfig of {name} in {WEBHOOKS} {problem}."


def authorization_problems(webhooks: t.Sequence[t.Any]) -> list[str]:
    """What the API server would end for, as far as it can be known before."""
    entries = [one for one in webhooks if isinstance(one, dict)]
    names = _repeated(one.get("name") for one in entries)
    return [f"{WEBHOOKS} has the name {name!r} twice: give each webhook its own name." for name in names] + [
        problem for one in entries for problem in _webhook_problems(one)
    ]


# JWT


def _claim_problems(where: str, mappings: t.Any) -> t.Iterator[str]:
    mappings = mappings if isinstance(mappings, dict) else {}
    username = mappings.get("username")
    if not isinstance(username, dict) or not (username.get("claim") or username.get("expression")):
        yield f"{where} does not map a claim to the user name: give claimMappings.username a claim and a prefix, or an expression."
    for kind in ("username", "groups"):
        mapping = mappings.get(kind)
        if isinstance(mapping, dict) and mapping.get("claim"):
            if mapping.get("expression"):
                yield f"{where} has claim and expression in claimMappings.{kind}: remove one of them."
            elif not isinstance(mapping.get("prefix"), str):
                yield f'{where} has no prefix in claimMappings.{kind}: set one, such as "oidc:", or "" for none.'


def _jwt_problems(index: int, jwt: Mapping) -> t.Iterator[str]:
    issuer = jwt.get("issuer")
    issuer = issuer if isinstance(issuer, dict) else {}
    url = issuer.get("url")
    where = f"{JWT} (issuer {url})" if url else f"{JWT} (entry {index + 1})"
    unknown = sorted({*jwt} - {"issuer", "claimValidationRules", "claimMappings", "userValidationRules"})
    if unknown:
        yield f"{where} has {', '.join(map(str, unknown))}, which is not a field of a JWT authenticator: see Kubernetes' AuthenticationConfiguration."
    if not re.fullmatch(r"https://[^\s@?#]+", str(url)):
        yield f"{where} has no issuer URL that begins with https://: set issuer.url to the value of the claim iss in the tokens."
    audiences = issuer.get("audiences")
    if not isinstance(audiences, list) or not audiences or not all(isinstance(one, str) and one for one in audiences):
        yield f"{where} has no audiences: set issuer.audiences to the list of accepted values of the claim aud."
    elif len(audiences) > 1 and issuer.get("audienceMatchPolicy") != "MatchAny":
        yield f"{where} has several audiences: also set issuer.audienceMatchPolicy to MatchAny."
    authority = issuer.get("certificateAuthority")
    if authority is not None and "-----BEGIN CERTIFICATE-----" not in str(authority):
        yield f"{where} has a certificateAuthority that is not a certificate: set it to the text (PEM), not to the path of a file."
    yield from _claim_problems(where, jwt.get("claimMappings"))


def authentication_problems(jwts: t.Sequence[t.Any]) -> list[str]:
    """What the API server would end for, as far as it can be known before."""
    entries = [one for one in jwts if isinstance(one, dict)]
    urls = [one["issuer"].get("url") for one in entries if isinstance(one.get("issuer"), dict)]
    return [
        f"{JWT} has the issuer {url!r} twice: list all its audiences in one entry." for url in _repeated(urls) if url
    ] + [problem for index, one in enumerate(entries) for problem in _jwt_problems(index, one)]


def problems(variables: Mapping) -> list[str]:
    """The problems with both in a host's variables."""
    jwts, webhooks = (value if isinstance(value, list) else [] for value in map(variables.get, (JWT, WEBHOOKS)))
    return authentication_problems(jwts) + authorization_problems(webhooks)

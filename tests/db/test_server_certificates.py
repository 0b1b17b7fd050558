# SPDX-License-Identifier: Apache-2.0
"""Server certificates of IAM, and listeners that serve them."""
import subprocess

import pytest

from conftest import KEYS, fails
from test_load_balancers import balancer, clean, elb, forward, group, listener, plan  # noqa: F401


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Certificates and keys by name."""
    def make(name):
        folder = tmp_path_factory.mktemp(name)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=" + name,
                        "-keyout", str(folder / "key"), "-out", str(folder / "cert")], check=True, capture_output=True)
        return {"CertificateBody": (folder / "cert").read_text(), "PrivateKey": (folder / "key").read_text()}
    return {name: make(name) for name in ("one.example.org", "two.example.org")}


def test_certificates(cloud, iam, pair):
    made = iam.upload_server_certificate(ServerCertificateName="one", Path="/web/", **pair["one.example.org"])
    its = made["ServerCertificateMetadata"]
    assert its["Arn"] == "arn:aws:iam::000000000001:server-certificate/web/one"
    assert its["ServerCertificateId"].startswith("ASCA") and its["Expiration"] > its["UploadDate"]
    got = iam.get_server_certificate(ServerCertificateName="one")["ServerCertificate"]
    assert got["CertificateBody"] == pair["one.example.org"]["CertificateBody"].strip() and "PrivateKey" not in str(got)
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == [its]
    assert iam.list_server_certificates(PathPrefix="/api/")["ServerCertificateMetadataList"] == []
    with fails("EntityAlreadyExists"):
        iam.upload_server_certificate(ServerCertificateName="ONE", **pair["one.example.org"])
    with fails("KeyPairMismatch"):
        iam.upload_server_certificate(ServerCertificateName="x", PrivateKey=pair["two.example.org"]["PrivateKey"],
                                      CertificateBody=pair["one.example.org"]["CertificateBody"])
    for broken in ({"CertificateBody": "nonsense"}, {"PrivateKey": "nonsense"}, {"CertificateChain": "nonsense"}):
        with fails("MalformedCertificate"):
            iam.upload_server_certificate(**dict(pair["one.example.org"], ServerCertificateName="x", **broken))
    other = cloud.client("iam", KEYS[1])
    assert other.list_server_certificates()["ServerCertificateMetadataList"] == []
    with fails("NoSuchEntity"):
        other.delete_server_certificate(ServerCertificateName="one")
    iam.update_server_certificate(ServerCertificateName="one", NewServerCertificateName="uno", NewPath="/")
    iam.delete_server_certificate(ServerCertificateName="uno")
    with fails("NoSuchEntity"):
        iam.get_server_certificate(ServerCertificateName="uno")


def test_listener(cloud, iam, elb, pair):  # noqa: F811
    one, two = (iam.upload_server_certificate(ServerCertificateName=name.split(".")[0], **pair[name])
                ["ServerCertificateMetadata"]["Arn"] for name in sorted(pair))
    lb, tg = balancer(cloud, elb), group(cloud, elb)
    with fails("ValidationError"):
        listener(elb, lb, tg, 443, "HTTPS")
    with fails("CertificateNotFound"):
        listener(elb, lb, tg, 443, "HTTPS", Certificates=[{"CertificateArn": one + "x"}])
    with fails("SSLPolicyNotFound"):
        listener(elb, lb, tg, 443, "HTTPS", Certificates=[{"CertificateArn": one}], SslPolicy="x")
    made = listener(elb, lb, tg, 443, "HTTPS", Certificates=[{"CertificateArn": one}],
                    SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")
    arn = made["ListenerArn"]
    assert made["Certificates"] == [{"CertificateArn": one}]
    assert made["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    its = plan(cloud)["balancers"][0]["listeners"][0]
    assert its["tls_min"] == "TLSv1.2" and its["alpn"] == ["h2", "http/1.1"]
    assert pair["one.example.org"]["PrivateKey"].strip() in its["certificates"][0]["pem"]
    with fails("DeleteConflict"):
        iam.delete_server_certificate(ServerCertificateName="one")
    elb.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": two}])
    shown = elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    assert [(c["CertificateArn"], c["IsDefault"]) for c in shown] == [(one, True), (two, False)]
    with fails("OperationNotPermitted"):
        elb.remove_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": one}])
    elb.remove_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": two}])
    elb.modify_listener(ListenerArn=arn, Certificates=[{"CertificateArn": two}])
    assert elb.describe_listeners(ListenerArns=[arn])["Listeners"][0]["Certificates"] == [{"CertificateArn": two}]
    iam.delete_server_certificate(ServerCertificateName="one")
    plain = elb.modify_listener(ListenerArn=arn, Protocol="HTTP", Port=80)["Listeners"][0]
    assert "SslPolicy" not in plain and not plain.get("Certificates")

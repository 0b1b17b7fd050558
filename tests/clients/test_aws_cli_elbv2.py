# SPDX-License-Identifier: Apache-2.0
"""The tour of Elastic Load Balancing with Debian's unmodified aws: every action that Virga says it has."""
import subprocess

import pytest

from aws_model import Model
from test_aws_cli import Aws
from test_aws_cli_iam import Iam

# Newer than Debian's aws.
UNKNOWN = {"DescribeCapacityReservation", "DescribeListenerAttributes", "ModifyListenerAttributes"}


class Elb(Aws):
    def __call__(self, *arguments):
        return super().__call__("elbv2", *arguments)

    def refused(self, code, *arguments):
        done = self.run("elbv2", *arguments, check=False)
        assert done.returncode == 254 and "(%s)" % code in done.stderr, done.stderr


@pytest.fixture(scope="module")
def plain(fake_cloud, recorder):
    return recorder.env(fake_cloud.env)


@pytest.fixture
def elb(plain, recorded):
    return Elb(plain)


@pytest.fixture
def certificates(plain, recorded, tmp_path):
    """Two server certificates, by the actions of IAM."""
    iam, made = Iam(plain), []
    for name in ("one", "two"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=" + name,
                        "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], check=True, capture_output=True)
        made.append(iam("upload-server-certificate", "--server-certificate-name", name, "--certificate-body",
                        "file://%s/cert" % tmp_path, "--private-key", "file://%s/key" % tmp_path)
                    ["ServerCertificateMetadata"]["Arn"])
    assert len(iam("list-server-certificates")["ServerCertificateMetadataList"]) == 2
    assert iam("get-server-certificate", "--server-certificate-name", "one")["ServerCertificate"]["CertificateBody"]
    assert iam("list-server-certificate-tags", "--server-certificate-name", "one")["Tags"] == []
    iam("update-server-certificate", "--server-certificate-name", "two", "--new-path", "/web/")
    made[1] = made[1].replace("certificate/", "certificate/web/")
    yield made
    for name in ("one", "two"):
        iam("delete-server-certificate", "--server-certificate-name", name)


def test_tour(elb, plain, certificates):
    ec2 = Aws(plain)
    subnets = [s["SubnetId"] for s in ec2("ec2", "describe-subnets")["Subnets"]]
    vpc = ec2("ec2", "describe-vpcs")["Vpcs"][0]["VpcId"]
    sg = ec2("ec2", "create-security-group", "--group-name", "front", "--description", "d")["GroupId"]
    lb = elb("create-load-balancer", "--name", "tour", "--subnets", *subnets, "--tags", "Key=a,Value=b")["LoadBalancers"][0]
    arn = ("--load-balancer-arn", lb["LoadBalancerArn"])
    tg = elb("create-target-group", "--name", "tour", "--protocol", "HTTP", "--port", "80", "--vpc-id", vpc,
             "--target-type", "ip")["TargetGroups"][0]["TargetGroupArn"]
    group = ("--target-group-arn", tg)
    listener = elb("create-listener", *arn, "--protocol", "HTTPS", "--port", "443", "--certificates",
                   "CertificateArn=" + certificates[0], "--default-actions",
                   "Type=forward,TargetGroupArn=" + tg)["Listeners"][0]["ListenerArn"]
    its = ("--listener-arn", listener)
    elb("add-listener-certificates", *its, "--certificates", "CertificateArn=" + certificates[1])
    assert len(elb("describe-listener-certificates", *its)["Certificates"]) == 2
    elb("remove-listener-certificates", *its, "--certificates", "CertificateArn=" + certificates[1])
    rule = elb("create-rule", *its, "--priority", "5", "--conditions", "Field=path-pattern,Values=/a/*", "--actions",
               "Type=fixed-response,FixedResponseConfig={StatusCode=404,ContentType=text/plain,MessageBody=no}"
               )["Rules"][0]["RuleArn"]
    elb("modify-rule", "--rule-arn", rule, "--conditions", "Field=host-header,Values=*.example.org")
    elb("set-rule-priorities", "--rule-priorities", "RuleArn=%s,Priority=7" % rule)
    assert [r["Priority"] for r in elb("describe-rules", *its)["Rules"]] == ["7", "default"]
    elb("register-targets", *group, "--targets", "Id=172.31.9.9", "Id=172.31.9.10,Port=81")
    states = [d["TargetHealth"]["State"] for d in elb("describe-target-health", *group)["TargetHealthDescriptions"]]
    assert len(states) == 2 and set(states) <= {"initial", "healthy"}
    elb("deregister-targets", *group, "--targets", "Id=172.31.9.9")
    elb("modify-target-group", *group, "--health-check-path", "/up")
    elb("modify-target-group-attributes", *group, "--attributes", "Key=stickiness.enabled,Value=true")
    elb("modify-load-balancer-attributes", *arn, "--attributes", "Key=idle_timeout.timeout_seconds,Value=90")
    for what in (("describe-target-group-attributes", *group), ("describe-load-balancer-attributes", *arn)):
        assert elb(*what)["Attributes"]
    elb("modify-listener", *its, "--port", "8443")
    assert elb("describe-listeners", *arn)["Listeners"][0]["Port"] == 8443
    assert elb("describe-target-groups", *arn)["TargetGroups"][0]["TargetGroupArn"] == tg
    assert elb("describe-load-balancers", "--names", "tour")["LoadBalancers"][0]["DNSName"] == lb["DNSName"]
    elb("set-security-groups", *arn, "--security-groups", sg)
    elb("set-subnets", *arn, "--subnets", *subnets)
    elb("set-ip-address-type", *arn, "--ip-address-type", "ipv4")
    elb("add-tags", "--resource-arns", rule, tg, "--tags", "Key=c,Value=d")
    elb("remove-tags", "--resource-arns", tg, "--tag-keys", "c")
    tags = elb("describe-tags", "--resource-arns", rule, tg, lb["LoadBalancerArn"])["TagDescriptions"]
    assert [len(t["Tags"]) for t in tags] == [1, 0, 1]
    elb.refused("ResourceInUse", "delete-target-group", *group)
    elb("delete-rule", "--rule-arn", rule)
    elb("delete-listener", *its)
    elb("delete-target-group", *group)
    elb("delete-load-balancer", *arn)
    elb.refused("LoadBalancerNotFound", "describe-load-balancers", "--names", "tour")
    ec2("ec2", "delete-security-group", "--group-id", sg)


def test_what_there_is(elb):
    assert elb("describe-account-limits")["Limits"] and elb("describe-ssl-policies")["SslPolicies"]


def test_classic_is_refused(plain, recorded):
    done = Aws(plain).run("elb", "describe-load-balancers", check=False)
    assert done.returncode == 254 and "(InvalidAction)" in done.stderr


def test_whole_list_was_called(recorder):
    """The last test of this file: an action that nobody calls is missing in the tour."""
    missing = set(Model("elbv2").handled()) - recorder.actions("elasticloadbalancing") - UNKNOWN
    assert not missing, "not in the tour: " + ", ".join(sorted(missing))

# SPDX-License-Identifier: Apache-2.0
"""Images and key pairs."""
import base64
import os
import subprocess

import pytest

from conftest import IMAGE_SNAPSHOT, fails


def device(**ebs):
    return [{"DeviceName": "/dev/sda1", "Ebs": dict({"SnapshotId": IMAGE_SNAPSHOT}, **ebs)}]


def test_register(cloud):
    ec2 = cloud.ec2
    one = ec2.register_image(Name="Debian 12 (test)", Description="d", BootMode="uefi",
                             BlockDeviceMappings=device(VolumeSize=5, VolumeType="gp3"))
    image = ec2.describe_images(ImageIds=[one["ImageId"]])["Images"][0]
    assert image["Name"] == "Debian 12 (test)" and image["Description"] == "d"
    assert image["BootMode"] == "uefi" and image["State"] == "available"
    assert image["RootDeviceName"] == "/dev/sda1" and image["OwnerId"] == "000000000001"
    assert image["BlockDeviceMappings"][0]["Ebs"] == {
        "DeleteOnTermination": True, "SnapshotId": IMAGE_SNAPSHOT, "VolumeSize": 5,
        "VolumeType": "gp3", "Encrypted": False}
    assert image["CreationDate"].endswith("Z") and not image["Public"]
    with fails("InvalidAMIName.Duplicate"):
        ec2.register_image(Name="Debian 12 (test)", BlockDeviceMappings=device())
    with fails("DryRunOperation"):
        ec2.deregister_image(ImageId=one["ImageId"], DryRun=True)
    with fails("InvalidAMIID.NotFound"):
        cloud.other.deregister_image(ImageId=one["ImageId"])
    ec2.deregister_image(ImageId=one["ImageId"])
    with fails("InvalidAMIID.NotFound"):
        ec2.deregister_image(ImageId=one["ImageId"])


def test_newer_parameters(cloud):
    answer = cloud.raw({"Action": "RegisterImage", "Name": "tagged", "ImdsSupport": "v2.0",
                        "BlockDeviceMapping.1.DeviceName": "/dev/sda1",
                        "BlockDeviceMapping.1.Ebs.SnapshotId": IMAGE_SNAPSHOT,
                        "TagSpecification.1.ResourceType": "image",
                        "TagSpecification.1.Tag.1.Key": "k",
                        "TagSpecification.1.Tag.1.Value": "v"})
    assert "<imageId>ami-" in answer
    image = cloud.ec2.describe_images()["Images"][0]
    assert image["Tags"] == [{"Key": "k", "Value": "v"}]
    launched = cloud.ec2.run_instances(ImageId=image["ImageId"], InstanceType="t3.micro",
                                       MinCount=1, MaxCount=1)["Instances"][0]
    assert launched["MetadataOptions"]["HttpTokens"] == "required"
    assert launched["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert "<Code>UnsupportedOperation</Code>" in cloud.raw(
        {"Action": "RegisterImage", "Name": "tpm", "TpmSupport": "v2.0",
         "BlockDeviceMapping.1.DeviceName": "/dev/sda1",
         "BlockDeviceMapping.1.Ebs.SnapshotId": IMAGE_SNAPSHOT})


@pytest.mark.parametrize("options, code, text", [
    ({"Name": "a#b"}, "InvalidAMIName.Malformed", ""),
    ({"BlockDeviceMappings": []}, "InvalidParameterValue", "root device"),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {
        "SnapshotId": "snap-00000000000000001"}}]}, "InvalidSnapshot.NotFound", ""),
    ({"BlockDeviceMappings": device(VolumeSize=1)}, "InvalidParameterValue", "smaller"),
    ({"Architecture": "arm64"}, "UnsupportedOperation", "Architecture"),
    ({"VirtualizationType": "paravirtual"}, "UnsupportedOperation", "VirtualizationType"),
    ({"ImageLocation": "s3/x"}, "UnsupportedOperation", "ImageLocation"),
    ({"KernelId": "aki-1"}, "UnsupportedOperation", "KernelId"),
])
def test_register_refusals(cloud, options, code, text):
    with fails(code, text):
        cloud.ec2.register_image(**dict({"Name": "image",
                                         "BlockDeviceMappings": device()}, **options))


def names(client, **options):
    return sorted(i["Name"] for i in client.describe_images(**options)["Images"])


def test_owners(cloud, image):
    cloud.ec2.register_image(Name="public", BlockDeviceMappings=device())
    cloud.sql("UPDATE image SET is_public = true, of_cloud = true WHERE name = 'public'")
    assert names(cloud.ec2) == ["base", "public"] and names(cloud.other) == ["public"]
    assert names(cloud.ec2, Owners=["self"]) == ["base", "public"]
    assert names(cloud.other, Owners=["self"]) == []
    assert names(cloud.other, Owners=["amazon"]) == ["public"]
    assert names(cloud.other, Owners=["000000000001"]) == ["public"]
    assert names(cloud.other, ExecutableUsers=["all"]) == ["public"]
    assert names(cloud.ec2, ExecutableUsers=["self"]) == []
    assert names(cloud.ec2, Filters=[{"Name": "is-public", "Values": ["false"]}]) == ["base"]
    assert names(cloud.ec2, Filters=[{"Name": "name", "Values": ["b*"]}]) == ["base"]
    assert names(cloud.ec2, Filters=[{"Name": "owner-alias", "Values": ["amazon"]}]) == ["public"]
    assert names(cloud.ec2, IncludeDeprecated=True, Filters=[
        {"Name": "block-device-mapping.snapshot-id", "Values": [IMAGE_SNAPSHOT]}]) == \
        ["base", "public"]
    with fails("InvalidAMIID.Malformed"):
        names(cloud.ec2, ImageIds=["x"])
    with fails("InvalidAMIID.NotFound"):
        names(cloud.other, ImageIds=[image])
    with fails("InvalidUserID.Malformed"):
        names(cloud.ec2, Owners=["me"])
    for n in range(5):
        cloud.ec2.register_image(Name="more-%d" % n, BlockDeviceMappings=device())
    page = cloud.raw({"Action": "DescribeImages", "MaxResults": "4"})
    assert page.count("<imageId>") == 4 and "<nextToken>" in page
    snapshots = cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [s["SnapshotId"] for s in snapshots] == [IMAGE_SNAPSHOT]
    assert snapshots[0]["State"] == "completed" and snapshots[0]["VolumeSize"] == 2
    assert cloud.other.describe_snapshots()["Snapshots"] == []


# ---- keys ----

def tool(*command, text=None):
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=True).stdout.decode()


def hexdigest(algorithm, data):
    import hashlib
    digest = hashlib.new(algorithm, data).hexdigest()
    return ":".join(digest[i:i + 2] for i in range(0, len(digest), 2))


def public_key(cloud, name):
    return cloud.ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)["KeyPairs"][0]


def test_create_rsa(cloud, tmp_path):
    made = cloud.ec2.create_key_pair(KeyName="k", TagSpecifications=[
        {"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "b"}]}])
    assert made["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert made["KeyMaterial"].endswith("-----END RSA PRIVATE KEY-----")
    assert made["Tags"] == [{"Key": "a", "Value": "b"}] and made["KeyPairId"].startswith("key-")
    path = tmp_path / "key"
    path.write_text(made["KeyMaterial"] + "\n")
    path.chmod(0o600)
    shown = public_key(cloud, "k")
    assert tool("ssh-keygen", "-y", "-f", str(path)).split() == shown["PublicKey"].split()[:2]
    assert shown["PublicKey"].endswith(" k") and shown["KeyType"] == "rsa"
    der = subprocess.run(["openssl", "pkcs8", "-in", str(path), "-inform", "PEM", "-outform", "DER",
                          "-topk8", "-nocrypt"], stdout=subprocess.PIPE, check=True).stdout
    assert made["KeyFingerprint"] == hexdigest("sha1", der) == shown["KeyFingerprint"]
    assert "PublicKey" not in cloud.ec2.describe_key_pairs()["KeyPairs"][0]
    assert cloud.sql("SELECT count(*) FROM key_pair WHERE public_key LIKE '%PRIVATE%'") == [["0"]]


def test_create_ed25519(cloud, tmp_path):
    made = cloud.ec2.create_key_pair(KeyName="e", KeyType="ed25519")
    path = tmp_path / "key"
    path.write_text(made["KeyMaterial"])
    path.chmod(0o600)
    shown = public_key(cloud, "e")["PublicKey"]
    assert tool("ssh-keygen", "-y", "-f", str(path)).split()[:2] == shown.split()[:2]
    (tmp_path / "key.pub").write_text(shown + "\n")
    listed = tool("ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")).split()[1]
    assert made["KeyFingerprint"].rstrip("=") == listed[len("SHA256:"):]
    assert len(made["KeyFingerprint"]) == 44
    # A signature proves that both halves belong together.
    (tmp_path / "text").write_text("text")
    tool("ssh-keygen", "-Y", "sign", "-f", str(path), "-n", "t", str(tmp_path / "text"))
    (tmp_path / "allowed").write_text("me " + shown + "\n")
    tool("ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "allowed"), "-I", "me", "-n", "t", "-s",
         str(tmp_path / "text.sig"), text=b"text")


@pytest.mark.parametrize("kind, bits", [("rsa", "1024"), ("rsa", "2048"), ("rsa", "4096"),
                                        ("ed25519", "256")])
def test_import(cloud, tmp_path, kind, bits):
    path = str(tmp_path / "key")
    tool("ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", "me@there", "-f", path)
    line = open(path + ".pub").read()
    forms = {"openssh": line, "rfc4716": tool("ssh-keygen", "-e", "-m", "RFC4716", "-f", path),
             "no-comment": " ".join(line.split()[:2])}
    if kind == "rsa":
        forms["pem"] = tool("ssh-keygen", "-e", "-m", "PKCS8", "-f", path)
        forms["base64"] = "".join(forms["pem"].splitlines()[1:-1])
    found = set()
    for name, text in forms.items():
        made = cloud.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=text.encode())
        found.add(made["KeyFingerprint"])
        assert public_key(cloud, name)["PublicKey"].split()[:2] == line.split()[:2]
        assert public_key(cloud, name)["KeyType"] == kind
    assert len(found) == 1
    if kind == "rsa":
        der = base64.b64decode(forms["base64"])
        assert found == {hexdigest("md5", der)}


@pytest.mark.parametrize("material", [
    b"x", b"ssh-rsa", b"ssh-rsa AAAA", b"ssh-rsa !!!!", b"ssh-dss AAAAB3NzaC1kc3M=",
    b"ssh-ed25519 AAAAB3NzaC1yc2E=", b"ssh-rsa AAAAB3NzaC1yc2EAAAAD//8=", b"\x30\x03\x02\x01\x01",
    b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", b"-----BEGIN PUBLIC KEY-----\nMA==\n", b"\x00" * 40,
    b"ssh-rsa AAAA\nssh-rsa AAAA", b"x" * 40000])
def test_import_refusals(cloud, material):
    with fails("InvalidKey.Format"):
        cloud.ec2.import_key_pair(KeyName="k", PublicKeyMaterial=material)


def test_key_names(cloud):
    ec2 = cloud.ec2
    key = ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    with fails("InvalidKeyPair.Duplicate", "k"):
        ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    with fails("UnsupportedOperation", "KeyFormat"):
        ec2.create_key_pair(KeyName="p", KeyFormat="ppk")
    with fails("InvalidParameterValue"):
        ec2.create_key_pair(KeyName="x" * 256)
    with fails("InvalidParameterValue"):
        ec2.create_key_pair(KeyName="é")
    with fails("DryRunOperation"):
        ec2.create_key_pair(KeyName="d", DryRun=True)
    cloud.other.create_key_pair(KeyName="k", KeyType="ed25519")
    with fails("InvalidKeyPair.NotFound"):
        ec2.describe_key_pairs(KeyNames=["absent"])
    with fails("InvalidKeyPair.NotFound"):
        cloud.other.describe_key_pairs(KeyPairIds=[key["KeyPairId"]])
    assert len(ec2.describe_key_pairs(Filters=[{"Name": "key-name",
                                                "Values": ["k*"]}])["KeyPairs"]) == 1
    ec2.delete_key_pair(KeyName="absent")
    with fails("MissingParameter"):
        ec2.delete_key_pair()
    ec2.delete_key_pair(KeyPairId=key["KeyPairId"])
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    assert len(cloud.other.describe_key_pairs()["KeyPairs"]) == 1


assert os.path.exists("/usr/bin/ssh-keygen")

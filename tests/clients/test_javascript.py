# SPDX-License-Identifier: Apache-2.0
"""The newest @aws-sdk/client-ec2 from npm.  tools/test puts it into the folder VIRGA_NODE_MODULES, where
node, npm and a registry are at hand; otherwise there is nothing to test with."""
import json
import os
import shutil

import pytest

from cloud import ACCOUNT
from conftest import run

SCRIPT = """
const ec2 = require("@aws-sdk/client-ec2");
const { version } = require("@aws-sdk/client-ec2/package.json");

async function main(image) {
    const client = new ec2.EC2Client({});
    const seen = { version };
    const launch = await client.send(new ec2.RunInstancesCommand({
        ImageId: image, InstanceType: "t3.nano", MinCount: 2, MaxCount: 2,
        TagSpecifications: [{ ResourceType: "instance", Tags: [{ Key: "sdk", Value: "js & <xml>" }] }] }));
    const ids = launch.Instances.map((one) => one.InstanceId);
    seen.owner = launch.OwnerId;
    seen.launched = launch.Instances[0].LaunchTime instanceof Date;
    await ec2.waitUntilInstanceRunning({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { InstanceIds: ids });
    seen.pages = 0;
    seen.found = [];
    for await (const page of ec2.paginateDescribeInstances({ client, pageSize: 5 },
            { Filters: [{ Name: "tag:sdk", Values: ["js*"] }] })) {
        seen.pages++;
        for (const reservation of page.Reservations)
            for (const one of reservation.Instances)
                if (one.State.Name === "running")
                    seen.found.push([one.InstanceId, one.Tags[0].Value]);
    }
    const groups = await client.send(new ec2.DescribeSecurityGroupsCommand({ GroupNames: ["default"] }));
    seen.groups = groups.SecurityGroups.length;
    try {
        await client.send(new ec2.DescribeInstancesCommand({ InstanceIds: ["i-00000000000000000"] }));
    } catch (error) {
        seen.error = error.name;
        seen.status = error.$metadata.httpStatusCode;
    }
    try {
        await client.send(new ec2.TerminateInstancesCommand({ InstanceIds: ids, DryRun: true }));
    } catch (error) {
        seen.dry = error.name;
    }
    const gone = await client.send(new ec2.TerminateInstancesCommand({ InstanceIds: ids }));
    seen.gone = gone.TerminatingInstances.map((one) => one.PreviousState.Name);
    await ec2.waitUntilInstanceTerminated({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { InstanceIds: ids });
    seen.ids = ids;
    console.log(JSON.stringify(seen));
}

main(process.argv[2]).catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.fixture
def modules():
    folder = os.environ.get("VIRGA_NODE_MODULES")
    if not folder or not shutil.which("node"):
        pytest.skip("no node, or npm could not get @aws-sdk/client-ec2")
    return folder


def test_tour(fake_cloud, recorded, modules, tmp_path):
    script = tmp_path / "tour.js"
    script.write_text(SCRIPT)
    # The SDK ignores http_proxy: what it gets is not recorded.
    env = dict(fake_cloud.env, NODE_PATH=modules)
    seen = json.loads(run(["node", str(script), fake_cloud.image_id()], env=env, deadline_s=180).stdout)
    assert seen["owner"] == ACCOUNT and seen["launched"] and seen["groups"] >= 1
    assert sorted(seen["found"]) == sorted([one, "js & <xml>"] for one in seen["ids"])
    assert (seen["error"], seen["status"]) == ("InvalidInstanceID.NotFound", 400)
    assert seen["dry"] == "DryRunOperation"
    assert seen["gone"] == ["running", "running"]

# SPDX-License-Identifier: Apache-2.0
"""CPU of DescribeInstances: the API server's and PostgreSQL's, from /proc, per call.

    VIRGA_BUILD=build pytest -s tests/db/bench_describe.py
"""
import glob
import http.client
import os

import pytest


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def children(pid):
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as stat:
                head, fields = stat.read().rsplit(")", 1)
        except FileNotFoundError:
            continue
        if int(fields.split()[1]) == pid:
            found.append(int(head.split()[0]))
    return found


def measure(cloud, what, parameters, calls):
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port)
    body, headers = cloud.signed(parameters)

    def call():
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        assert response.status == 200
        return len(response.read())
    for _ in range(max(calls // 10, 10)):
        size = call()
    postgres = children(cloud.postgres.process.pid)
    before = cpu_seconds([cloud.process.pid]), cpu_seconds(postgres)
    for _ in range(calls):
        call()
    after = cpu_seconds([cloud.process.pid]), cpu_seconds(postgres)
    api, database = ((b - a) / calls * 1e6 for a, b in zip(before, after))
    print("\n%-30s %7d bytes: api %8.0f us + postgres %8.0f us = %8.0f us"
          % (what, size, api, database, api + database))


@pytest.mark.parametrize("background", [0, 999])
def test_cpu(cloud, launch, background):
    one = launch(TagSpecifications=[{"ResourceType": "instance",
                                     "Tags": [{"Key": "Name", "Value": "one"}]}])[0]["InstanceId"]
    if background:
        launch(background, TagSpecifications=[{"ResourceType": "instance",
                                               "Tags": [{"Key": "Name", "Value": "many"}]}])
    cloud.settle()
    cloud.sql("ANALYZE")
    action = {"Action": "DescribeInstances"}
    measure(cloud, "one of %d by id" % (background + 1), dict(action, **{"InstanceId.1": one}),
            4000)
    measure(cloud, "one of %d by tag" % (background + 1),
            dict(action, **{"Filter.1.Name": "tag:Name", "Filter.1.Value.1": "one"}), 4000)
    measure(cloud, "all %d" % (background + 1), action, 200 if background else 4000)
    if background:
        measure(cloud, "a page of 100", dict(action, MaxResults="100"), 400)
        measure(cloud, "all by state", dict(action, **{
            "Filter.1.Name": "instance-state-name", "Filter.1.Value.1": "running"}), 100)
    measure(cloud, "DescribeRegions", {"Action": "DescribeRegions"}, 4000)

/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as botocore 1.43.11 signs them on 2026-01-02T03:04:05Z, with the keys of test-sigv4.c.
 * Data only: to add one, sign the request with botocore and write down what it would send. */
#pragma once

#include "api/server.h"

typedef struct {
    const char *name, *method, *path, *query, *body;
    VirgaHttpHeader headers[8];
} Vector;

static const Vector vectors[] = {
    { "post form",
      "POST",
      "/",
      "",
      "Action=DescribeRegions&Version=2016-11-15",
      { { "Content-Type", "application/x-www-form-urlencoded; charset=utf-8" },
        { "X-Amz-Date", "20260102T030405Z" },
        { "Authorization",
          "AWS4-HMAC-SHA256 Credential=AKIAVIRGATEST0000001/20260102/us-east-1/ec2/aws4_request, "
          "SignedHeaders=content-type;host;x-amz-date, "
          "Signature=5961f5f871bbd06da8d37ea90e56d9be26ff305a65b8bcc97aa64f188e10d469" },
        { "Content-Length", "41" },
        { "Host", "127.0.0.1:8773" } } },
    { "session token",
      "POST",
      "/",
      "",
      "Action=GetCallerIdentity&Version=2011-06-15",
      { { "Content-Type", "application/x-www-form-urlencoded; charset=utf-8" },
        { "X-Amz-Date", "20260102T030405Z" },
        { "X-Amz-Security-Token", "session+token/==" },
        { "Authorization",
          "AWS4-HMAC-SHA256 Credential=ASIAVIRGATEST0000001/20260102/us-east-1/sts/aws4_request, "
          "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
          "Signature=85cc1b36a8aee1eb7f936ae378dfc50325e7704b0a322c12da23c8954ba9cc44" },
        { "Content-Length", "43" },
        { "Host", "cloud.example.test" } } },
    { "get with query",
      "GET",
      "/",
      "Action=DescribeRegions&Version=2016-11-15&Filter.1.Name=a%20b%2Fc&Filter.1.Value.1=%C3%A4%"
      "2A~",
      "",
      { { "X-Amz-Date", "20260102T030405Z" },
        { "Authorization",
          "AWS4-HMAC-SHA256 Credential=AKIAVIRGATEST0000001/20260102/us-east-1/ec2/aws4_request, "
          "SignedHeaders=host;x-amz-date, "
          "Signature=a2af5afd4d5876fd93bd86f2d57e30fc434d3a901d2fd8aa069f58268e4fc615" },
        { "Host", "cloud.example.test" } } },
    { "blanks in header",
      "GET",
      "/",
      "",
      "",
      { { "X-Note", "  a   b  c " },
        { "X-Amz-Zeta", "1" },
        { "X-Amz-Date", "20260102T030405Z" },
        { "Authorization",
          "AWS4-HMAC-SHA256 Credential=AKIAVIRGATEST0000001/20260102/us-east-1/sts/aws4_request, "
          "SignedHeaders=host;x-amz-date;x-amz-zeta;x-note, "
          "Signature=977ffe409f70bafec318c2b51aa9547bc8c60a21172b145a8a6ae60ba5573b02" },
        { "Host", "cloud.example.test" } } },
    { "path with dots",
      "GET",
      "/a/./b/../c%20d//e/",
      "",
      "",
      { { "X-Amz-Date", "20260102T030405Z" },
        { "Authorization",
          "AWS4-HMAC-SHA256 Credential=AKIAVIRGATEST0000001/20260102/us-east-1/sts/aws4_request, "
          "SignedHeaders=host;x-amz-date, "
          "Signature=a3f408be3aea6badb9b172ee165cbee1ece90bb3946f79d49687469f76ef7e86" },
        { "Host", "cloud.example.test" } } },
    { "presigned",
      "GET",
      "/",
      "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-"
      "Credential=AKIAVIRGATEST0000001%2F20260102%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date="
      "20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="
      "4bffb158cc6e430cfa2a6161712c295fbc83d4549998d32d2e63b7981450d144",
      "",
      { { "Host", "cloud.example.test" } } },
    { "presigned with token and header",
      "GET",
      "/",
      "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-"
      "Credential=ASIAVIRGATEST0000001%2F20260102%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date="
      "20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Security-"
      "Token=session%2Btoken%2F%3D%3D&X-Amz-Signature="
      "9c172853dc2356777b5fe530424dd6f8a411d904b02c1bcd4971f1c8a7d71dff",
      "",
      { { "x-k8s-aws-id", "cluster-1" }, { "Host", "cloud.example.test" } } },
    { "s3 path",
      "GET",
      "/bucket/a%20b//%C3%A4%2B.txt",
      "list-type=2&prefix=x%2F&acl",
      "",
      { { "X-Amz-Date", "20260102T030405Z" },
        { "X-Amz-Content-SHA256",
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "Authorization",
          "AWS4-HMAC-SHA256 Credential=AKIAVIRGATEST0000001/20260102/us-east-1/s3/aws4_request, "
          "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
          "Signature=6ecce472a9ff45ba7a44b10267ccc31d470ab35e73998b7a3fe13f0a82ec0894" },
        { "Host", "cloud.example.test" } } },
    { "s3 presigned",
      "GET",
      "/bucket/a%20b.txt",
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAVIRGATEST0000001%2F20260102%2Fus-east-"
      "1%2Fs3%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=604800&X-Amz-SignedHeaders="
      "host&X-Amz-Signature=ebc1eb47c6c99477060d682f19c41adc3230ee562f789fd69f51ddfa536beb6a",
      "",
      { { "Host", "cloud.example.test" } } },
};

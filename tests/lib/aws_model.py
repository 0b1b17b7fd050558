# SPDX-License-Identifier: Apache-2.0
"""Does an answer look as AWS's model of its service says?  Written after botocore's documentation,
not after api/wire, which it checks."""
import json
import os
import re
import xml.etree.ElementTree as ElementTree

from conftest import ROOT

TEXTS = {
    "integer": r"-?\d+", "long": r"-?\d+", "boolean": "true|false",
    "float": r"-?\d+(\.\d+)?([eE][-+]?\d+)?", "double": r"-?\d+(\.\d+)?([eE][-+]?\d+)?",
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z",
    "blob": r"[A-Za-z0-9+/]*={0,2}",
}
# Values of the operator, or of clients newer than the model; of boundaries AWS says "Policy", which
# its documentation tells and its model does not.
# EC2 says "available" of an attached internet gateway, which its AttachmentStatus does not know, and
# "nat_gateway" where the model has "natGateway".
OPEN_ENUMS = {"InstanceType", "RegionName", "AvailabilityZoneName",
              "PermissionsBoundaryAttachmentType", "AttachmentStatus", "NetworkInterfaceType"}


def local(element):
    return element.tag.rpartition("}")[2]


class Model:
    def __init__(self, service):
        self.service = service
        path = os.path.join(ROOT, "api", "wire", "models", service + ".json")
        with open(path, encoding="ascii") as file:
            self.model = json.load(file)
        self.shapes = self.model["shapes"]
        self.operations = self.model["operations"]
        self.is_ec2 = self.model["metadata"]["protocol"] == "ec2"

    def handled(self):
        """The actions that Virga says it has."""
        with open(os.path.join(ROOT, "api", "aws", self.service, "actions.list")) as file:
            return [line.split("#")[0].strip() for line in file if line.split("#")[0].strip()]

    def input(self, action):
        return self.shapes[self.operations[action]["input"]["shape"]] \
            if "input" in self.operations[action] else {"members": {}}

    # ---- answers ----

    def check(self, answer):
        """What is wrong with an answer: a list of sentences."""
        if answer.status >= 500:
            code = re.search("<Code>(.*?)</Code>", answer.body)
            if not code or not code.group(1).startswith(("Insufficient", "Unavailable")):
                return ["status %d: %s" % (answer.status, answer.body)]
        try:
            root = ElementTree.fromstring(answer.body)
        except ElementTree.ParseError as error:
            return ["no XML: %s: %.200s" % (error, answer.body)]
        if answer.status >= 300:
            return self.check_error(root)
        return self.check_success(answer, root)

    def check_error(self, root):
        if self.is_ec2:
            shape = [local(root)] + [local(child) for child in root]
            error = root.find("Errors/Error")
            if shape != ["Response", "Errors", "RequestID"] or error is None \
               or [local(child) for child in error] != ["Code", "Message"]:
                return ["an error that EC2 would not write"]
        else:
            names = [local(child) for element in root.iter() if local(element) == "Error"
                     for child in element]
            if local(root) != "ErrorResponse" or names != ["Type", "Code", "Message"]:
                return ["an error that the query protocol would not write"]
        return []

    def check_success(self, answer, root):
        operation = self.operations[answer.action]
        found = []
        if self.is_ec2:
            space = "{http://ec2.amazonaws.com/doc/%s/}" % (
                answer.version or self.model["metadata"]["apiVersion"])
        else:
            space = "{%s}" % self.model["metadata"]["xmlNamespace"]
        if root.tag != space + answer.action + "Response":
            found.append("the root is %s" % root.tag)
        for element in root.iter():
            if not element.tag.startswith(space):
                found.append("%s is in another namespace" % element.tag)
        children = list(root)
        if self.is_ec2:
            if not children or local(children[0]) != "requestId" or not children[0].text:
                return found + ["no requestId"]
            children = children[1:]
        else:
            wrapper = operation.get("output", {}).get("resultWrapper")
            if [local(child) for child in children] != [wrapper] * bool(wrapper) + ["ResponseMetadata"]:
                return found + ["wrong wrapper"]
            children = list(children[0]) if wrapper else []
        shape = operation.get("output", {}).get("shape")
        if shape:
            self.structure(shape, children, answer.action, found)
        elif [(local(child), child.text) for child in children] not in ([], [("return", "true")]):
            found.append("members where the model has none")
        return found

    def structure(self, name, children, path, found):
        shape = self.shapes[name]
        members = {}
        for member, reference in shape["members"].items():
            target = self.shapes[reference["shape"]]
            key = reference.get("locationName", member)
            if target["type"] == "list" and (target.get("flattened") or reference.get("flattened")):
                key = target["member"].get("locationName", key)
            members[key] = (member, reference["shape"])
        seen = []
        for child in children:
            key = local(child)
            if key not in members:
                found.append("%s has an unknown element %s" % (path, key))
                continue
            member, target = members[key]
            if key in seen and not self.shapes[target].get("flattened"):
                found.append("%s has %s twice" % (path, key))
            seen.append(key)
            self.value(target, child, path + "." + member, found)
        for member in shape.get("required", ()):
            if not [key for key, pair in members.items() if pair[0] == member and key in seen]:
                found.append("%s lacks %s" % (path, member))

    def value(self, name, element, path, found):
        shape = self.shapes[name]
        if shape["type"] == "structure":
            self.structure(name, list(element), path, found)
        elif shape["type"] == "map":
            for child in element:
                if [local(child)] + [local(part) for part in child] != ["entry", "key", "value"]:
                    found.append("%s holds what is no entry of a map" % path)
                    continue
                self.value(shape["key"]["shape"], child[0], path + ".key", found)
                self.value(shape["value"]["shape"], child[1], path + ".value", found)
        elif shape["type"] == "list":
            if shape.get("flattened"):
                self.value(shape["member"]["shape"], element, path, found)
                return
            wanted = shape["member"].get("locationName", "item" if self.is_ec2 else "member")
            for child in element:
                if local(child) != wanted:
                    found.append("%s holds %s, not %s" % (path, local(child), wanted))
                self.value(shape["member"]["shape"], child, path, found)
        else:
            text = element.text or ""
            if len(element):
                found.append("%s is no scalar" % path)
            elif shape["type"] in TEXTS and not re.fullmatch(TEXTS[shape["type"]], text):
                found.append("%s is \"%s\", no %s" % (path, text, shape["type"]))
            elif shape.get("enum") and name not in OPEN_ENUMS and text not in shape["enum"]:
                found.append("%s is \"%s\", none of %s" % (path, text, name))

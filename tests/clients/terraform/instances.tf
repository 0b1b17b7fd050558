# SPDX-License-Identifier: Apache-2.0
# An instance with what it needs, and who may do what.

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_key_pair" "key" {
  key_name   = "terraform"
  public_key = var.public_key
  tags       = { made-by = "terraform" }
}

resource "aws_security_group" "web" {
  name        = "terraform-web"
  description = "Web & more"
  vpc_id      = data.aws_vpc.default.id

  ingress {
    description = "http"
    protocol    = "tcp"
    from_port   = 80
    to_port     = 81
    cidr_blocks = ["10.0.0.0/8", "192.0.2.0/24"]
  }
  ingress {
    protocol  = "-1"
    from_port = 0
    to_port   = 0
    self      = true
  }
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
  tags = { Name = "web" }
}

resource "aws_security_group" "ssh" {
  name   = "terraform-ssh"
  vpc_id = data.aws_vpc.default.id
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  security_group_id            = aws_security_group.ssh.id
  description                  = "from the web"
  ip_protocol                  = "tcp"
  from_port                    = 22
  to_port                      = 22
  referenced_security_group_id = aws_security_group.web.id
  tags                         = { Name = "ssh" }
}

resource "aws_vpc_security_group_egress_rule" "out" {
  security_group_id = aws_security_group.ssh.id
  ip_protocol       = "udp"
  from_port         = 53
  to_port           = 53
  cidr_ipv4         = "192.0.2.53/32"
}

resource "aws_instance" "one" {
  ami                    = var.image
  instance_type          = "t3.nano"
  key_name               = aws_key_pair.key.key_name
  subnet_id              = data.aws_subnets.default.ids[0]
  vpc_security_group_ids = [aws_security_group.web.id, aws_security_group.ssh.id]
  user_data              = "#!/bin/sh\necho hello\n"
  iam_instance_profile   = aws_iam_instance_profile.web.name

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
  root_block_device {
    volume_size = 9
    volume_type = "gp3"
    tags        = { disk = "root" }
  }
  tags = { Name = "one" }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "look" {
  statement {
    sid       = "Look"
    actions   = ["ec2:Describe*", "iam:Get*"]
    resources = ["*"]
    condition {
      test     = "StringLike"
      variable = "aws:username"
      values   = ["a*", "b & c"]
    }
  }
}

resource "aws_iam_policy" "look" {
  name        = "terraform-look"
  path        = "/team/"
  description = "To look at"
  policy      = data.aws_iam_policy_document.look.json
  tags        = { made-by = "terraform" }
}

resource "aws_iam_role" "web" {
  name                 = "terraform-web"
  description          = "Of web servers"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 7200
  permissions_boundary = aws_iam_policy.look.arn
  tags                 = { made-by = "terraform" }
}

resource "aws_iam_role_policy" "look" {
  name   = "look"
  role   = aws_iam_role.web.id
  policy = data.aws_iam_policy_document.look.json
}

resource "aws_iam_role_policy_attachment" "look" {
  role       = aws_iam_role.web.name
  policy_arn = aws_iam_policy.look.arn
}

resource "aws_iam_instance_profile" "web" {
  name = "terraform-web"
  role = aws_iam_role.web.name
  tags = { made-by = "terraform" }
}

resource "aws_iam_user" "alice" {
  name          = "terraform-alice"
  path          = "/team/"
  force_destroy = true
  tags          = { made-by = "terraform" }
}

resource "aws_iam_access_key" "alice" {
  user = aws_iam_user.alice.name
}

resource "aws_iam_user_policy" "look" {
  name   = "look"
  user   = aws_iam_user.alice.name
  policy = data.aws_iam_policy_document.look.json
}

resource "aws_iam_user_policy_attachment" "read" {
  user       = aws_iam_user.alice.name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
}

resource "aws_iam_group" "dev" {
  name = "terraform-dev"
}

resource "aws_iam_group_policy" "look" {
  name   = "look"
  group  = aws_iam_group.dev.name
  policy = data.aws_iam_policy_document.look.json
}

resource "aws_iam_group_policy_attachment" "look" {
  group      = aws_iam_group.dev.name
  policy_arn = aws_iam_policy.look.arn
}

resource "aws_iam_user_group_membership" "alice" {
  user   = aws_iam_user.alice.name
  groups = [aws_iam_group.dev.name]
}

resource "aws_iam_account_alias" "ours" {
  account_alias = "terraform-cloud"
}

output "state" {
  value = aws_instance.one.instance_state
}

# SPDX-License-Identifier: Apache-2.0
# A network as people build it: public and private subnets in a VPC of its own.

resource "aws_vpc" "net" {
  cidr_block           = "10.44.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "terraform-net" }
}

resource "aws_vpc_ipv4_cidr_block_association" "more" {
  vpc_id     = aws_vpc.net.id
  cidr_block = "10.45.0.0/16"
}

resource "aws_vpc_dhcp_options" "corp" {
  domain_name         = "corp.example.org"
  domain_name_servers = ["10.44.0.53", "AmazonProvidedDNS"]
  ntp_servers         = ["10.44.0.123"]
  tags                = { Name = "terraform-corp" }
}

resource "aws_vpc_dhcp_options_association" "corp" {
  vpc_id          = aws_vpc.net.id
  dhcp_options_id = aws_vpc_dhcp_options.corp.id
}

resource "aws_internet_gateway" "gw" {
  vpc_id = aws_vpc.net.id
  tags   = { Name = "terraform-gw" }
}

resource "aws_subnet" "public" {
  vpc_id                  = aws_vpc.net.id
  cidr_block              = "10.44.1.0/24"
  availability_zone       = "us-east-1a"
  map_public_ip_on_launch = true
  tags                    = { Name = "terraform-public" }
}

resource "aws_subnet" "private" {
  vpc_id     = aws_vpc_ipv4_cidr_block_association.more.vpc_id
  cidr_block = "10.45.1.0/24"
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.net.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.gw.id
  }
  tags = { Name = "terraform-public" }
}

resource "aws_route_table_association" "public" {
  subnet_id      = aws_subnet.public.id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.net.id
}

resource "aws_route" "by_one" {
  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "192.168.0.0/16"
  network_interface_id   = aws_instance.one.primary_network_interface_id
}

resource "aws_main_route_table_association" "main" {
  vpc_id         = aws_vpc.net.id
  route_table_id = aws_route_table.private.id
}

# Another with the same addresses, whose main table is the one that it came with.
resource "aws_vpc" "twin" {
  cidr_block         = "10.44.0.0/16"
  enable_dns_support = false
}

resource "aws_default_route_table" "twin" {
  default_route_table_id = aws_vpc.twin.default_route_table_id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway_attachment.twin.internet_gateway_id
  }
  tags = { Name = "terraform-twin" }
}

resource "aws_internet_gateway" "twin" {
}

resource "aws_internet_gateway_attachment" "twin" {
  internet_gateway_id = aws_internet_gateway.twin.id
  vpc_id              = aws_vpc.twin.id
}

resource "aws_network_acl" "public" {
  vpc_id     = aws_vpc.net.id
  subnet_ids = [aws_subnet.public.id]
  ingress {
    rule_no    = 10
    action     = "deny"
    protocol   = "icmp"
    icmp_type  = 8
    icmp_code  = -1
    from_port  = 0
    to_port    = 0
    cidr_block = "192.0.2.0/24"
  }
  ingress {
    rule_no    = 100
    action     = "allow"
    protocol   = "tcp"
    from_port  = 22
    to_port    = 65535
    cidr_block = "0.0.0.0/0"
  }
  egress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = "0.0.0.0/0"
  }
}

resource "aws_network_acl_rule" "udp" {
  network_acl_id = aws_network_acl.apart.id
  rule_number    = 20
  protocol       = "udp"
  rule_action    = "allow"
  from_port      = 53
  to_port        = 53
  cidr_block     = "10.44.0.0/16"
}

resource "aws_network_acl" "apart" {
  vpc_id = aws_vpc.net.id
}

resource "aws_network_acl_association" "apart" {
  network_acl_id = aws_network_acl.apart.id
  subnet_id      = aws_subnet.private.id
}

resource "aws_default_network_acl" "default" {
  default_network_acl_id = aws_vpc.net.default_network_acl_id
  ingress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = "10.44.0.0/15"
  }
}

resource "aws_default_security_group" "default" {
  vpc_id = aws_vpc.net.id
}

resource "aws_security_group" "web" {
  name   = "terraform-net-web"
  vpc_id = aws_vpc.net.id
  ingress {
    protocol    = "tcp"
    from_port   = 80
    to_port     = 80
    cidr_blocks = [aws_vpc.net.cidr_block]
  }
}

resource "aws_instance" "one" {
  ami                    = var.image
  instance_type          = "t3.nano"
  subnet_id              = aws_subnet.public.id
  vpc_security_group_ids = [aws_security_group.web.id]
  source_dest_check      = false
  depends_on             = [aws_internet_gateway.gw]
}

resource "aws_eip" "way_out" {
  domain = "vpc"
  tags   = { Name = "terraform-way-out" }
}

resource "aws_nat_gateway" "way_out" {
  allocation_id = aws_eip.way_out.id
  subnet_id     = aws_subnet.public.id
  tags          = { Name = "terraform-way-out" }
  depends_on    = [aws_internet_gateway.gw]
}

resource "aws_route" "way_out" {
  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.way_out.id
}

resource "aws_network_interface" "second" {
  subnet_id         = aws_subnet.public.id
  private_ips       = ["10.44.1.50", "10.44.1.51"]
  security_groups   = [aws_security_group.web.id]
  source_dest_check = false
  description       = "second"
  tags              = { Name = "terraform-second" }
}

resource "aws_network_interface_attachment" "second" {
  instance_id          = aws_instance.one.id
  network_interface_id = aws_network_interface.second.id
  device_index         = 1
}

resource "aws_eip" "second" {
  domain                    = "vpc"
  network_interface         = aws_network_interface.second.id
  associate_with_private_ip = "10.44.1.50"
  depends_on                = [aws_internet_gateway.gw]
}

resource "aws_eip" "moving" {
  domain = "vpc"
}

resource "aws_eip_association" "moving" {
  allocation_id        = aws_eip.moving.id
  network_interface_id = aws_network_interface.second.id
  private_ip_address   = "10.44.1.51"
}

data "aws_vpc" "net" {
  id         = aws_vpc.net.id
  depends_on = [aws_vpc_dhcp_options_association.corp]
}

data "aws_route_table" "public" {
  subnet_id  = aws_subnet.public.id
  depends_on = [aws_route_table_association.public]
}

data "aws_internet_gateway" "gw" {
  filter {
    name   = "attachment.vpc-id"
    values = [aws_internet_gateway.gw.vpc_id]
  }
}

output "vpc" {
  value = aws_vpc.net.id
}

output "public_dns" {
  value = aws_instance.one.public_dns
}

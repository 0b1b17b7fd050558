# SPDX-License-Identifier: Apache-2.0
# What all configurations here begin with.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  skip_metadata_api_check = true
  skip_region_validation  = true
}

# What the tests give: an image of this cloud, a key pair, a certificate.
variable "image" {}
variable "public_key" {}
variable "certificate" {}
variable "private_key" {}

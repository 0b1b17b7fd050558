/* SPDX-License-Identifier: Apache-2.0 */
/* What AWS calls our failures. */
#include "api/errors.h"
#include "core/error.h"
#include "core/id.h"

#include <string.h>

/* Errors of virga_api_fail() carry the code in their domain and the status in their code. */
#define DOMAIN_PREFIX "aws:"

#define ANY (-1)

typedef struct {
    const char *noun; /* NULL: any */
    int code;         /* a VirgaErrorCode, or ANY */
    const char *aws_code;
    unsigned status;
} Mapping;

/* The first line that fits is taken: the nouns' own lines stand before the general ones. */
static const Mapping mappings[] = {
    { NULL, VIRGA_ERROR_RETRY, "Unavailable", 503 },
    { NULL, VIRGA_ERROR_INTERNAL, "InternalError", 500 },
    { "instance", VIRGA_ERROR_NOT_FOUND, "InvalidInstanceID.NotFound", 400 },
    { "instance interface", ANY, "InvalidInstanceID", 400 },
    { "instance device", VIRGA_ERROR_NOT_FOUND, "InvalidInstanceAttributeValue", 400 },
    { "instance", VIRGA_ERROR_INVALID, "InvalidParameterValue", 400 },
    { "instance", VIRGA_ERROR_STATE, "IncorrectInstanceState", 400 },
    { "instance", VIRGA_ERROR_CAPACITY, "InsufficientInstanceCapacity", 500 },
    { "instance", VIRGA_ERROR_QUOTA, "InstanceLimitExceeded", 400 },
    { "vcpu", VIRGA_ERROR_QUOTA, "VcpuLimitExceeded", 400 },
    { "image", VIRGA_ERROR_NOT_FOUND, "InvalidAMIID.NotFound", 400 },
    { "image", VIRGA_ERROR_EXISTS, "InvalidAMIName.Duplicate", 400 },
    { "image", VIRGA_ERROR_DENIED, "AuthFailure", 403 },
    { "image permission", VIRGA_ERROR_NOT_FOUND, "InvalidAMIAttributeItemValue", 400 },
    { "image", VIRGA_ERROR_STATE, "InvalidAMIID.Unavailable", 400 },
    { "image device", VIRGA_ERROR_INVALID, "InvalidParameter", 400 },
    { "image device", VIRGA_ERROR_DENIED, "InvalidParameter", 400 },
    { "snapshot", VIRGA_ERROR_NOT_FOUND, "InvalidSnapshot.NotFound", 400 },
    { "snapshot", VIRGA_ERROR_DENIED, "AuthFailure", 403 },
    { "snapshot permission", VIRGA_ERROR_NOT_FOUND, "InvalidUserID.NotFound", 400 },
    { "snapshot", VIRGA_ERROR_IN_USE, "InvalidSnapshot.InUse", 400 },
    { "file system", VIRGA_ERROR_NOT_FOUND, "FileSystemNotFound", 404 },
    { "file system", VIRGA_ERROR_EXISTS, "FileSystemAlreadyExists", 409 },
    { "file system", VIRGA_ERROR_IN_USE, "FileSystemInUse", 409 },
    { "file system", VIRGA_ERROR_STATE, "IncorrectFileSystemLifeCycleState", 409 },
    { "file system", VIRGA_ERROR_QUOTA, "FileSystemLimitExceeded", 403 },
    { "mount target", VIRGA_ERROR_NOT_FOUND, "MountTargetNotFound", 404 },
    { "mount target", VIRGA_ERROR_CONFLICT, "MountTargetConflict", 409 },
    { "mount target", VIRGA_ERROR_INVALID, "AvailabilityZonesMismatch", 400 },
    { "import task", VIRGA_ERROR_NOT_FOUND, "InvalidConversionTaskId", 400 },
    { "image storage", VIRGA_ERROR_DENIED, "InvalidRequest", 400 },
    { "snapshot", VIRGA_ERROR_QUOTA, "SnapshotLimitExceeded", 400 },
    { "snapshot", VIRGA_ERROR_STATE, "IncorrectState", 400 },
    { "volume", VIRGA_ERROR_NOT_FOUND, "InvalidVolume.NotFound", 400 },
    { "volume", VIRGA_ERROR_IN_USE, "VolumeInUse", 400 },
    { "volume", VIRGA_ERROR_QUOTA, "VolumeLimitExceeded", 400 },
    { "volume size", VIRGA_ERROR_QUOTA, "VolumeLimitExceeded", 400 },
    { "volume", VIRGA_ERROR_CAPACITY, "InsufficientVolumeCapacity", 500 },
    { "volume", VIRGA_ERROR_STATE, "IncorrectState", 400 },
    { "volume modification", VIRGA_ERROR_STATE, "IncorrectModificationState", 400 },
    { "volume attachment", VIRGA_ERROR_NOT_FOUND, "InvalidAttachment.NotFound", 400 },
    { "volume zone", VIRGA_ERROR_INVALID, "InvalidVolume.ZoneMismatch", 400 },
    { "volume instance", VIRGA_ERROR_STATE, "IncorrectState", 400 },
    { "volume device", VIRGA_ERROR_INVALID, "InvalidParameterValue", 400 },
    { "volume device", VIRGA_ERROR_QUOTA, "AttachmentLimitExceeded", 400 },
    { "root volume", VIRGA_ERROR_STATE, "OperationNotPermitted", 400 },
    { "volume", VIRGA_ERROR_UNSUPPORTED, "UnsupportedOperation", 400 },
    { "key pair", VIRGA_ERROR_NOT_FOUND, "InvalidKeyPair.NotFound", 400 },
    { "key pair", VIRGA_ERROR_EXISTS, "InvalidKeyPair.Duplicate", 400 },
    { "key pair", VIRGA_ERROR_INVALID, "InvalidKey.Format", 400 },
    { "security group", VIRGA_ERROR_NOT_FOUND, "InvalidGroup.NotFound", 400 },
    { "security group", VIRGA_ERROR_EXISTS, "InvalidGroup.Duplicate", 400 },
    { "security group", VIRGA_ERROR_QUOTA, "SecurityGroupLimitExceeded", 400 },
    { "security group rule", VIRGA_ERROR_EXISTS, "InvalidPermission.Duplicate", 400 },
    { "security group rule", VIRGA_ERROR_NOT_FOUND, "InvalidPermission.NotFound", 400 },
    { "security group rule", VIRGA_ERROR_QUOTA, "RulesPerSecurityGroupLimitExceeded", 400 },
    { "security group rule id", VIRGA_ERROR_NOT_FOUND, "InvalidSecurityGroupRuleId.NotFound", 400 },
    { "vpc", VIRGA_ERROR_NOT_FOUND, "InvalidVpcID.NotFound", 400 },
    { "vpc", VIRGA_ERROR_QUOTA, "VpcLimitExceeded", 400 },
    { "vpc block", VIRGA_ERROR_INVALID, "InvalidVpc.Range", 400 },
    { "vpc block", VIRGA_ERROR_CONFLICT, "InvalidVpc.Range", 400 },
    { "vpc block", VIRGA_ERROR_QUOTA, "CidrLimitExceeded", 400 },
    { "vpc block", VIRGA_ERROR_NOT_FOUND, "InvalidVpcCidrBlockAssociationIdError.NotFound", 400 },
    { "vpc block", VIRGA_ERROR_IN_USE, "InvalidCidrBlock.InUse", 400 },
    { "default vpc", VIRGA_ERROR_EXISTS, "DefaultVpcAlreadyExists", 400 },
    { "default vpc", VIRGA_ERROR_NOT_FOUND, "VPCIdNotSpecified", 400 },
    { "default subnet", VIRGA_ERROR_NOT_FOUND, "DefaultVpcDoesNotExist", 400 },
    { "launch subnet", VIRGA_ERROR_NOT_FOUND, "MissingInput", 400 },
    { "default subnet", VIRGA_ERROR_EXISTS, "DefaultSubnetAlreadyExistsInAvailabilityZone", 400 },
    { "default subnet", VIRGA_ERROR_CAPACITY, "InvalidSubnet.Conflict", 400 },
    { "subnet block", VIRGA_ERROR_INVALID, "InvalidSubnet.Range", 400 },
    { "subnet", VIRGA_ERROR_NOT_FOUND, "InvalidSubnetID.NotFound", 400 },
    { "subnet", VIRGA_ERROR_CAPACITY, "InsufficientFreeAddressesInSubnet", 400 },
    { "subnet", VIRGA_ERROR_CONFLICT, "InvalidSubnet.Conflict", 400 },
    { "subnet", VIRGA_ERROR_QUOTA, "SubnetLimitExceeded", 400 },
    { "route table", VIRGA_ERROR_NOT_FOUND, "InvalidRouteTableID.NotFound", 400 },
    { "route table", VIRGA_ERROR_QUOTA, "RouteTableLimitExceeded", 400 },
    { "route table association", VIRGA_ERROR_NOT_FOUND, "InvalidAssociationID.NotFound", 400 },
    { "route table association", VIRGA_ERROR_EXISTS, "Resource.AlreadyAssociated", 400 },
    { "route", VIRGA_ERROR_QUOTA, "RouteLimitExceeded", 400 },
    { "gateway", VIRGA_ERROR_NOT_FOUND, "InvalidGatewayID.NotFound", 400 },
    { "route nat gateway", VIRGA_ERROR_NOT_FOUND, "InvalidNatGatewayID.NotFound", 400 },
    { "route instance", VIRGA_ERROR_INVALID, "InvalidInstanceID", 400 },
    { "route", VIRGA_ERROR_NOT_FOUND, "InvalidRoute.NotFound", 400 },
    { "route", VIRGA_ERROR_EXISTS, "RouteAlreadyExists", 400 },
    { "internet gateway", VIRGA_ERROR_NOT_FOUND, "InvalidInternetGatewayID.NotFound", 400 },
    { "internet gateway", VIRGA_ERROR_EXISTS, "Resource.AlreadyAssociated", 400 },
    { "internet gateway", VIRGA_ERROR_STATE, "Gateway.NotAttached", 400 },
    { "internet gateway", VIRGA_ERROR_QUOTA, "InternetGatewayLimitExceeded", 400 },
    { "nat gateway", VIRGA_ERROR_NOT_FOUND, "NatGatewayNotFound", 400 },
    { "nat gateway", VIRGA_ERROR_QUOTA, "NatGatewayLimitExceeded", 400 },
    { "network acl", VIRGA_ERROR_NOT_FOUND, "InvalidNetworkAclID.NotFound", 400 },
    { "network acl", VIRGA_ERROR_QUOTA, "NetworkAclLimitExceeded", 400 },
    { "network acl association", VIRGA_ERROR_NOT_FOUND, "InvalidAssociationID.NotFound", 400 },
    { "network acl entry", VIRGA_ERROR_NOT_FOUND, "InvalidNetworkAclEntry.NotFound", 400 },
    { "network acl entry", VIRGA_ERROR_EXISTS, "NetworkAclEntryAlreadyExists", 400 },
    { "network acl entry", VIRGA_ERROR_QUOTA, "NetworkAclEntryLimitExceeded", 400 },
    { "dhcp options", VIRGA_ERROR_QUOTA, "DhcpOptionsLimitExceeded", 400 },
    { "dhcp options", VIRGA_ERROR_NOT_FOUND, "InvalidDhcpOptionID.NotFound", 400 },
    { "address", VIRGA_ERROR_NOT_FOUND, "InvalidAllocationID.NotFound", 400 },
    { "address", VIRGA_ERROR_CAPACITY, "InsufficientAddressCapacity", 400 },
    { "address", VIRGA_ERROR_QUOTA, "AddressLimitExceeded", 400 },
    { "address", VIRGA_ERROR_IN_USE, "InvalidIPAddress.InUse", 400 },
    { "public address", VIRGA_ERROR_NOT_FOUND, "InvalidAddress.NotFound", 400 },
    { "address association", VIRGA_ERROR_DENIED, "AuthFailure", 403 },
    { "address association", VIRGA_ERROR_NOT_FOUND, "InvalidAssociationID.NotFound", 400 },
    { "address association", VIRGA_ERROR_EXISTS, "Resource.AlreadyAssociated", 400 },
    { "network interface", VIRGA_ERROR_NOT_FOUND, "InvalidNetworkInterfaceID.NotFound", 400 },
    { "network interface", VIRGA_ERROR_DENIED, "AuthFailure", 403 },
    { "network interface", VIRGA_ERROR_EXISTS, "InvalidIPAddress.InUse", 400 },
    { "network interface", VIRGA_ERROR_CONFLICT, "InvalidParameterCombination", 400 },
    { "network interface", VIRGA_ERROR_IN_USE, "InvalidNetworkInterface.InUse", 400 },
    { "network interface", VIRGA_ERROR_QUOTA, "NetworkInterfaceLimitExceeded", 400 },
    { "network attachment", VIRGA_ERROR_NOT_FOUND, "InvalidAttachmentID.NotFound", 400 },
    { "network attachment", VIRGA_ERROR_QUOTA, "AttachmentLimitExceeded", 400 },
    { "private address", VIRGA_ERROR_QUOTA, "PrivateIpAddressLimitExceeded", 400 },
    { "launch template", VIRGA_ERROR_NOT_FOUND, "InvalidLaunchTemplateId.NotFound", 400 },
    { "launch template", VIRGA_ERROR_EXISTS, "InvalidLaunchTemplateName.AlreadyExistsException",
      400 },
    { "launch template name", VIRGA_ERROR_NOT_FOUND, "InvalidLaunchTemplateName.NotFoundException",
      400 },
    { "launch template version", VIRGA_ERROR_NOT_FOUND, "InvalidLaunchTemplateId.VersionNotFound",
      400 },
    { "placement group", VIRGA_ERROR_NOT_FOUND, "InvalidPlacementGroup.Unknown", 400 },
    { "placement group", VIRGA_ERROR_EXISTS, "InvalidPlacementGroup.Duplicate", 400 },
    { "placement group", VIRGA_ERROR_IN_USE, "InvalidPlacementGroup.InUse", 400 },
    { "client token", VIRGA_ERROR_CONFLICT, "IdempotentParameterMismatch", 400 },
    { "instance profile", VIRGA_ERROR_NOT_FOUND, "InvalidParameterValue", 400 },
    { "instance profile association", VIRGA_ERROR_NOT_FOUND, "InvalidAssociationID.NotFound", 400 },
    { "instance profile association", VIRGA_ERROR_EXISTS, "IncorrectState", 400 },
    { "instance type", ANY, "InvalidParameterValue", 400 },
    { "tag", VIRGA_ERROR_QUOTA, "TagLimitExceeded", 400 },
    { "zone", VIRGA_ERROR_NOT_FOUND, "InvalidParameterValue", 400 },
    { "region", VIRGA_ERROR_NOT_FOUND, "InvalidParameterValue", 400 },
    { "identity", VIRGA_ERROR_NOT_FOUND, "NoSuchEntity", 404 },
    { "identity", VIRGA_ERROR_EXISTS, "EntityAlreadyExists", 409 },
    { "identity", VIRGA_ERROR_IN_USE, "DeleteConflict", 409 },
    { "identity", VIRGA_ERROR_QUOTA, "LimitExceeded", 409 },
    { "identity", VIRGA_ERROR_DENIED, "AccessDenied", 403 },
    { "identity", VIRGA_ERROR_INVALID, "ValidationError", 400 },
    { "identity input", VIRGA_ERROR_INVALID, "InvalidInput", 400 },
    { "policy document", VIRGA_ERROR_INVALID, "MalformedPolicyDocument", 400 },
    { "load balancer", VIRGA_ERROR_NOT_FOUND, "LoadBalancerNotFound", 400 },
    { "load balancer", VIRGA_ERROR_EXISTS, "DuplicateLoadBalancerName", 400 },
    { "load balancer", VIRGA_ERROR_QUOTA, "TooManyLoadBalancers", 400 },
    { "target group", VIRGA_ERROR_NOT_FOUND, "TargetGroupNotFound", 400 },
    { "target group", VIRGA_ERROR_EXISTS, "DuplicateTargetGroupName", 400 },
    { "target group", VIRGA_ERROR_IN_USE, "ResourceInUse", 400 },
    { "target group", VIRGA_ERROR_QUOTA, "TooManyTargetGroups", 400 },
    { "target group association", VIRGA_ERROR_QUOTA, "TargetGroupAssociationLimit", 400 },
    { "target", VIRGA_ERROR_INVALID, "InvalidTarget", 400 },
    { "listener", VIRGA_ERROR_NOT_FOUND, "ListenerNotFound", 400 },
    { "listener", VIRGA_ERROR_EXISTS, "DuplicateListener", 400 },
    { "listener rule", VIRGA_ERROR_NOT_FOUND, "RuleNotFound", 400 },
    { "listener rule", VIRGA_ERROR_EXISTS, "PriorityInUse", 400 },
    { "server certificate", VIRGA_ERROR_NOT_FOUND, "CertificateNotFound", 400 },
    { NULL, VIRGA_ERROR_INVALID, "InvalidParameterValue", 400 },
    { NULL, VIRGA_ERROR_NOT_FOUND, "InvalidParameterValue", 400 },
    { NULL, VIRGA_ERROR_EXISTS, "ResourceAlreadyExists", 400 },
    { NULL, VIRGA_ERROR_CONFLICT, "InvalidParameterCombination", 400 },
    { NULL, VIRGA_ERROR_STATE, "IncorrectState", 400 },
    { NULL, VIRGA_ERROR_IN_USE, "DependencyViolation", 400 },
    { NULL, VIRGA_ERROR_QUOTA, "ResourceLimitExceeded", 400 },
    { NULL, VIRGA_ERROR_CAPACITY, "InsufficientCapacity", 500 },
    { NULL, VIRGA_ERROR_DENIED, "OperationNotPermitted", 400 },
    { NULL, VIRGA_ERROR_UNSUPPORTED, "UnsupportedOperation", 400 },
};

bool
virga_api_fail(GError **error, const char *code, unsigned status, const char *format, ...)
{
    g_autofree char *domain = g_strconcat(DOMAIN_PREFIX, code, NULL);
    va_list args;

    va_start(args, format);
    if (error)
        *error = g_error_new_valist(g_quark_from_string(domain), (int) status, format, args);
    va_end(args);
    return false;
}

static const char *
api_code(const GError *error)
{
    const char *domain = g_quark_to_string(error->domain);
    return g_str_has_prefix(domain, DOMAIN_PREFIX) ? domain + strlen(DOMAIN_PREFIX) : NULL;
}

bool
virga_api_error_is(const GError *error, const char *code)
{
    return error && g_strcmp0(api_code(error), code) == 0;
}

static const Mapping *
find_mapping(const GError *error)
{
    const char *noun = virga_error_noun(error);

    for (gsize i = 0; i < G_N_ELEMENTS(mappings); i++) {
        const Mapping *mapping = &mappings[i];

        if ((mapping->code == ANY || mapping->code == error->code) &&
            (!mapping->noun || g_str_equal(mapping->noun, noun)))
            return mapping;
    }
    return NULL;
}

VirgaApiError
virga_api_error(const GError *error)
{
    const char *code = api_code(error);
    const Mapping *mapping = virga_error_is_ours(error) ? find_mapping(error) : NULL;

    if (code)
        return (VirgaApiError){ code, (unsigned) error->code, error->message, false };
    if (!mapping || mapping->status == 500) {
        /* Why there is no room is said to the client; what broke inside is not. */
        if (mapping && error->code == VIRGA_ERROR_CAPACITY)
            return (VirgaApiError){ mapping->aws_code, 500, error->message, false };
        return (VirgaApiError){ "InternalError", 500, "An internal error has occurred", true };
    }
    if (error->code == VIRGA_ERROR_RETRY)
        return (VirgaApiError){ mapping->aws_code, mapping->status,
                                "The request could not be completed now; try it again", true };
    return (VirgaApiError){ mapping->aws_code, mapping->status, error->message, false };
}

bool
virga_api_check_id(const char *value, const char *prefix, const char *code, GError **error)
{
    if (virga_id_is(value, prefix))
        return true;
    return virga_api_fail(error, code, 400, "Invalid id: \"%.200s\" (expecting \"%s-...\")",
                          value ? value : "", prefix);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* virga env: what a shell must know so that "aws" and boto3 use this cloud. */
#include "choose.h"
#include "cli.h"

int
cmd_env(int argc, char **argv)
{
    static const char *const services[] = { "", "_EC2", "_STS" };
    g_auto(Cli) cli = { 0 };
    g_auto(Credentials) credentials = { 0 };
    g_autofree char *endpoint = NULL, *data = NULL;
    g_autoptr(GError) error = NULL;

    cli_parse(&cli, &argc, &argv, NULL,
              "Prints shell commands that make AWS clients use this cloud:\n  eval \"$(sudo virga "
              "env)\"\n  aws ec2 describe-instances",
              NULL, 0, 0);
    if (!cli_need_root("env"))
        return 1;
    if (!cli_config(&cli, &error) || !credentials_read(&cli, &credentials, &error) ||
        !endpoints_write(&cli, &error))
        return cli_fail("%s", error->message);
    endpoint = cli_endpoint(&cli);
    data = cli_path(&cli, "endpoints");
    /* Each line ends with a semicolon: an unquoted $(virga env) makes one line of all. */
    g_print("export AWS_ACCESS_KEY_ID='%s';\n", credentials.access_key);
    {
        g_autofree char *secret = g_shell_quote(credentials.secret);

        g_print("export AWS_SECRET_ACCESS_KEY=%s;\n", secret);
    }
    g_print("unset AWS_SESSION_TOKEN AWS_PROFILE;\n");
    g_print("export AWS_DEFAULT_REGION='%s';\n", virga_config_text(cli.config, "cloud", "region"));
    g_print("export AWS_REGION='%s';\n", virga_config_text(cli.config, "cloud", "region"));
    for (size_t i = 0; i < G_N_ELEMENTS(services); i++)
        g_print("export AWS_ENDPOINT_URL%s='%s';\n", services[i], endpoint);
    g_print("export AWS_EC2_METADATA_DISABLED=true;\n");
    /* Clients of before July 2023 do not read AWS_ENDPOINT_URL. */
    g_print("export AWS_DATA_PATH='%s';\n", data);
    return 0;
}

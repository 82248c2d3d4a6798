"""The lists of what moto does not know, page by page: whoever asks whether a service answers asks for one."""

from . import backup, cognito, operation

#: what a page holds where nobody says how much
PAGE = 60


@operation("backup", "ListBackupVaults")
def vaults(call):
    here = sorted((name, found) for (region, name), found in backup.kept(call.state).vaults.items() if region == call.region)
    listed = [
        {"BackupVaultName": name, "BackupVaultArn": found["arn"], "NumberOfRecoveryPoints": len(found["points"])}
        for name, found in here
    ]
    return paged(call, "BackupVaultList", listed)


@operation("cognito-idp", "ListUserPools")
def pools(call):
    here = sorted(cognito.kept(call.state).pools.items())
    told = ("Id", "Name", "LastModifiedDate", "CreationDate")
    listed = [{name: found.shown()[name] for name in told} for (region, _), found in here if region == call.region]
    return paged(call, "UserPools", listed)


def paged(call, name, listed):
    first, most = int(call.params.get("NextToken") or 0), int(call.params.get("MaxResults") or PAGE)
    more = {"NextToken": str(first + most)} if first + most < len(listed) else {}
    return {name: listed[first : first + most]} | more

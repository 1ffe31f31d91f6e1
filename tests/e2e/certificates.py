"""Certificates of a little authority, made with the openssl command."""
import os
import subprocess


class Authority:
    def __init__(self, folder, name="ca"):
        self.folder, self.name = str(folder), name
        self.key(name)
        self.openssl("req", "-x509", "-new", "-key", self.path(f"{name}.key"), "-subj", f"/CN={name}", "-days", "2",
                     "-out", self.path(f"{name}.pem"))
        self.certificate = self.path(f"{name}.pem")

    def path(self, name):
        return os.path.join(self.folder, name)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder)

    def key(self, name):
        self.openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", self.path(f"{name}.key"))

    def issue(self, name, *names, serial=None):
        """A certificate for NAMES (DNS names or IP addresses): (certificate file, key file)."""
        self.key(name)
        kinds = ",".join(("IP:" if one.replace(".", "").isdigit() else "DNS:") + one for one in names or (name,))
        with open(self.path(f"{name}.ext"), "w") as file:
            file.write(f"subjectAltName={kinds}\n")
        self.openssl("req", "-new", "-key", self.path(f"{name}.key"), "-subj", f"/CN={name}", "-out",
                     self.path(f"{name}.csr"))
        self.openssl("x509", "-req", "-in", self.path(f"{name}.csr"), "-CA", self.certificate, "-CAkey",
                     self.path(f"{self.name}.key"), "-days", "2", "-extfile", self.path(f"{name}.ext"), "-out",
                     self.path(f"{name}.pem"), "-set_serial", str(serial or int.from_bytes(os.urandom(8), "big") >> 1))
        return self.path(f"{name}.pem"), self.path(f"{name}.key")
